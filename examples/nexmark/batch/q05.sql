WITH counted AS (
  SELECT auction, count(*) AS num, w AS window_start, w + INTERVAL 10 SECONDS AS window_end
  FROM (
    SELECT auction, unnest([time_bucket(INTERVAL 2 SECONDS, dateTime, TIMESTAMP '1970-01-01') - to_seconds(2 * i) FOR i IN range(5)]) AS w
    FROM bid
  )
  GROUP BY auction, w
)
SELECT auction, num, window_start, window_end FROM counted QUALIFY num = max(num) OVER (PARTITION BY window_start)
