SELECT bidder, count(*) AS bids, min(dateTime) AS window_start, max(dateTime) + INTERVAL 10 SECONDS AS window_end
FROM (
  SELECT *, sum(begins) OVER (PARTITION BY bidder ORDER BY dateTime) AS session
  FROM (
    SELECT bidder, dateTime,
      CASE WHEN dateTime - lag(dateTime) OVER (PARTITION BY bidder ORDER BY dateTime) <= INTERVAL 10 SECONDS THEN 0 ELSE 1 END AS begins
    FROM bid
  )
)
GROUP BY bidder, session
