-- How many bids a user makes in each 10 seconds, by the clock on the wall.
WITH arrived AS (SELECT bidder, CAST(now() AS TIMESTAMP) AS at FROM bid)
SELECT bidder, count(*) AS bids, window_start, window_end
FROM TUMBLE(arrived, at, INTERVAL 10 SECONDS)
GROUP BY bidder, window_start, window_end
