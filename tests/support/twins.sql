-- What window functions, row windows and `latest` mean, in plain SQL (DESIGN 3.3 a).
-- `s` is the name of a table with `_n`, the number of arrival, and `_wm`, the watermark that a row
-- is judged by; the time column is called ts. `late` is the allowed lateness.

CREATE OR REPLACE TEMP MACRO tumble(s, size, late := INTERVAL 0 SECONDS, origin := TIMESTAMP '1970-01-01') AS TABLE
SELECT * FROM (
  SELECT *, time_bucket(size, ts, origin) AS window_start, window_start + size AS window_end
  FROM query_table(s) WHERE ts IS NOT NULL
) WHERE _wm IS NULL OR _wm < window_end + late;

-- A row is in every window [k * slide, k * slide + size) that holds it, at most 100 of them.
CREATE OR REPLACE TEMP MACRO hop(s, slide, size, late := INTERVAL 0 SECONDS, origin := TIMESTAMP '1970-01-01') AS TABLE
SELECT * FROM (
  SELECT r.*, time_bucket(slide, ts, origin) - to_microseconds(i * epoch_us(slide)) AS window_start, window_start + size AS window_end
  FROM query_table(s) AS r, range(100) AS _windows(i) WHERE ts IS NOT NULL
) WHERE ts < window_end AND (_wm IS NULL OR _wm < window_end + late);

-- Windows of one start, with an end at each step up to the size.
CREATE OR REPLACE TEMP MACRO cumulate(s, step, size, late := INTERVAL 0 SECONDS, origin := TIMESTAMP '1970-01-01') AS TABLE
SELECT * FROM (
  SELECT r.*, time_bucket(size, ts, origin) AS window_start, window_start + to_microseconds((i + 1) * epoch_us(step)) AS window_end
  FROM query_table(s) AS r, range(100) AS _windows(i) WHERE ts IS NOT NULL
) WHERE ts < window_end AND window_end <= window_start + size AND (_wm IS NULL OR _wm < window_end + late);

-- Events of a key at most `gap` apart are one session; it ends at its last event + gap.
CREATE OR REPLACE TEMP MACRO session(s, gap, key := 1, is_late := false) AS TABLE
SELECT * EXCLUDE (_begins, _session), min(ts) OVER (PARTITION BY key, _session) AS window_start,
  max(ts) OVER (PARTITION BY key, _session) + gap AS window_end
FROM (
  SELECT *, sum(_begins) OVER (PARTITION BY key ORDER BY ts) AS _session FROM (
    SELECT *, CASE WHEN ts - lag(ts) OVER (PARTITION BY key ORDER BY ts) <= gap THEN 0 ELSE 1 END AS _begins
    FROM query_table(s) WHERE ts IS NOT NULL AND NOT is_late
  )
);

-- n rows of a key by arrival: row numbers [k * n, (k + 1) * n), counted from 0.
CREATE OR REPLACE TEMP MACRO tumble_rows(s, n, key := 1) AS TABLE
SELECT * EXCLUDE (_row), _row // n * n AS window_start, window_start + n AS window_end
FROM (SELECT *, row_number() OVER (PARTITION BY key ORDER BY _n) - 1 AS _row FROM query_table(s));

-- A row is in every window [k * slide, k * slide + n) that holds its number.
CREATE OR REPLACE TEMP MACRO hop_rows(s, slide, n, key := 1) AS TABLE
SELECT * EXCLUDE (_row) FROM (
  SELECT r.*, (_row // slide - i) * slide AS window_start, window_start + n AS window_end
  FROM (SELECT *, row_number() OVER (PARTITION BY key ORDER BY _n) - 1 AS _row FROM query_table(s)) AS r, range(100) AS _windows(i)
) WHERE _row < window_end;

-- Those of windows that are full: the key has a row with the last number before their end.
CREATE OR REPLACE TEMP MACRO tumble_rows_full(s, n, key := 1) AS TABLE
SELECT * EXCLUDE (_row, _count), _row // n * n AS window_start, window_start + n AS window_end
FROM (SELECT *, row_number() OVER (PARTITION BY key ORDER BY _n) - 1 AS _row, count(*) OVER (PARTITION BY key) AS _count FROM query_table(s))
WHERE window_end <= _count;

CREATE OR REPLACE TEMP MACRO hop_rows_full(s, slide, n, key := 1) AS TABLE
SELECT * EXCLUDE (_row, _count) FROM (
  SELECT r.*, (_row // slide - i) * slide AS window_start, window_start + n AS window_end
  FROM (
    SELECT *, row_number() OVER (PARTITION BY key ORDER BY _n) - 1 AS _row, count(*) OVER (PARTITION BY key) AS _count FROM query_table(s)
  ) AS r, range(100) AS _windows(i)
) WHERE _row < window_end AND window_end <= _count;

-- The newest row of each key.
CREATE OR REPLACE TEMP MACRO newest(s, key) AS TABLE
FROM query_table(s) QUALIFY row_number() OVER (PARTITION BY key ORDER BY _n DESC) = 1;

-- Windows by the clock: `_at` is its time when the row came, and no row is late.
CREATE OR REPLACE TEMP MACRO tumble_clock(s, size, origin := TIMESTAMP '1970-01-01') AS TABLE
SELECT *, time_bucket(size, _at, origin) AS window_start, window_start + size AS window_end FROM query_table(s);

CREATE OR REPLACE TEMP MACRO hop_clock(s, slide, size, origin := TIMESTAMP '1970-01-01') AS TABLE
SELECT * FROM (
  SELECT r.*, time_bucket(slide, _at, origin) - to_microseconds(i * epoch_us(slide)) AS window_start, window_start + size AS window_end
  FROM query_table(s) AS r, range(100) AS _windows(i)
) WHERE _at < window_end;

CREATE OR REPLACE TEMP MACRO cumulate_clock(s, step, size, origin := TIMESTAMP '1970-01-01') AS TABLE
SELECT * FROM (
  SELECT r.*, time_bucket(size, _at, origin) AS window_start, window_start + to_microseconds((i + 1) * epoch_us(step)) AS window_end
  FROM query_table(s) AS r, range(100) AS _windows(i)
) WHERE _at < window_end AND window_end <= window_start + size;

CREATE OR REPLACE TEMP MACRO session_clock(s, gap, key := 1) AS TABLE
SELECT * EXCLUDE (_begins, _session), min(_at) OVER (PARTITION BY key, _session) AS window_start,
  max(_at) OVER (PARTITION BY key, _session) + gap AS window_end
FROM (
  SELECT *, sum(_begins) OVER (PARTITION BY key ORDER BY _at) AS _session FROM (
    SELECT *, CASE WHEN _at - lag(_at) OVER (PARTITION BY key ORDER BY _at) <= gap THEN 0 ELSE 1 END AS _begins FROM query_table(s)
  )
);

-- The table that a change stream describes: what came, without what was taken back.
CREATE OR REPLACE TEMP MACRO described(s) AS TABLE
SELECT unnest(r) FROM (
  SELECT after AS r FROM query_table(s) WHERE after IS NOT NULL EXCEPT ALL SELECT before FROM query_table(s) WHERE before IS NOT NULL
);
