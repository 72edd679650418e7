SELECT DISTINCT p.id, p.name, time_bucket(INTERVAL 10 SECONDS, p.dateTime, TIMESTAMP '1970-01-01') AS window_start
FROM person p JOIN auction a ON p.id = a.seller
  AND time_bucket(INTERVAL 10 SECONDS, a.dateTime, TIMESTAMP '1970-01-01') = time_bucket(INTERVAL 10 SECONDS, p.dateTime, TIMESTAMP '1970-01-01')
