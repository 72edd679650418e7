-- The shop's story with the embedded default: no server is needed.
-- Order changes -> the row and its before-image -> product data from a cache -> Kafka -> back ->
-- files without location 10, and revenue by category in windows of 10 seconds.
CREATE SOURCE orders (WATERMARK FOR ts AS ts - INTERVAL 1 SECOND)
  WITH (connector = 'generator', rows = '${DEMO_ROWS}', rate = '${DEMO_RATE}');

CREATE CACHE products KEY (product_id)
  WITH (connector = 'file', path = '${DEMO_DIR}/products.parquet');

CREATE STREAM enriched AS
  SELECT o.op, o.after.order_id, o.after.location_id, o.after.amount, o.before.amount AS old_amount,
         p.description, p.brand, p.category, o.after AS detail, o.ts
  FROM orders o JOIN products p ON p.product_id = o.after.product_id;

CREATE TARGET to_kafka FROM enriched
  WITH (connector = 'kafka', brokers = 'embedded', topic = 'shop_orders', key = 'order_id') FORMAT json;

CREATE SOURCE from_kafka (WATERMARK FOR ts AS ts - INTERVAL 2 SECONDS)
  WITH (connector = 'kafka', brokers = 'embedded', topic = 'shop_orders', start = 'earliest') FORMAT json;

CREATE STREAM elsewhere AS
  SELECT order_id, location_id, amount, old_amount, brand, category, detail.quantity, detail.status, detail.note, ts
  FROM from_kafka WHERE location_id <> 10;

CREATE TARGET csv_files FROM elsewhere
  WITH (connector = 'file', path = '${DEMO_DIR}/orders', roll_rows = 1000) FORMAT csv;

CREATE TABLE revenue AS
  SELECT window_end, category, count(*) AS orders, sum(amount) AS revenue
  FROM TUMBLE(from_kafka, ts, INTERVAL 10 SECONDS)
  GROUP BY window_start, window_end, category;
