-- How many bids a user makes before a pause of 10 seconds.
SELECT bidder, count(*) AS bids, window_start, window_end
FROM SESSION(bid, dateTime, INTERVAL 10 SECONDS, bidder)
GROUP BY bidder, window_start, window_end
