-- The highest bids of each 10 seconds.
SELECT b.auction, b.price, b.bidder, b.dateTime, b.extra
FROM bid b JOIN (
  SELECT max(price) AS price, window_end
  FROM TUMBLE(bid, dateTime, INTERVAL 10 SECONDS)
  GROUP BY window_start, window_end
) m ON b.price = m.price AND b.dateTime >= m.window_end - INTERVAL 10 SECONDS AND b.dateTime < m.window_end
