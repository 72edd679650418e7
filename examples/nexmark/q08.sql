-- Who has put something up for auction in the 10 seconds in which they joined.
SELECT p.id, p.name, p.window_start
FROM (
  SELECT id, name, window_start, window_end
  FROM TUMBLE(person, dateTime, INTERVAL 10 SECONDS)
  GROUP BY id, name, window_start, window_end
) p JOIN (
  SELECT seller, window_start, window_end
  FROM TUMBLE(auction, dateTime, INTERVAL 10 SECONDS)
  GROUP BY seller, window_start, window_end
) a ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end
