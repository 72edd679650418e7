-- Which auctions had the most bids in the last 10 seconds, every 2 seconds.
WITH counted AS (
  SELECT auction, count(*) AS num, window_start, window_end
  FROM HOP(bid, dateTime, INTERVAL 2 SECONDS, INTERVAL 10 SECONDS)
  GROUP BY auction, window_start, window_end
)
SELECT c.auction, c.num, c.window_start, c.window_end
FROM counted c JOIN (
  SELECT max(num) AS most, window_start, window_end FROM counted GROUP BY window_start, window_end
) m ON c.window_start = m.window_start AND c.window_end = m.window_end AND c.num >= m.most
