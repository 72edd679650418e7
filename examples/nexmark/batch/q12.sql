SELECT bidder, count(*) AS bids, time_bucket(INTERVAL 10 SECONDS, arrived_at, TIMESTAMP '1970-01-01') AS window_start, window_start + INTERVAL 10 SECONDS AS window_end
FROM arrivals GROUP BY bidder, window_start
