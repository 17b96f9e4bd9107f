CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('row', '0'), ('row_hash', '');
CREATE TABLE events (
    event_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    zone TEXT NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL,
    training INTEGER NOT NULL,
    opened_at TEXT NOT NULL,
    closed_at TEXT,
    orders INTEGER NOT NULL,
    refunds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY,
    row INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    series TEXT NOT NULL,
    receipt INTEGER NOT NULL,
    state TEXT NOT NULL,
    currency TEXT NOT NULL,
    prices TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    discount_minor INTEGER NOT NULL,
    discount_reason TEXT NOT NULL,
    tax_minor INTEGER NOT NULL,
    change_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    actor TEXT NOT NULL,
    till TEXT NOT NULL,
    campaign TEXT NOT NULL,
    session TEXT NOT NULL,
    variant TEXT NOT NULL,
    fiscal TEXT NOT NULL,
    business_day TEXT NOT NULL,
    cart_opened_at TEXT,
    paid_at TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    clock TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX orders_row ON orders (row);
CREATE INDEX orders_receipt ON orders (series, receipt);
CREATE TABLE lines (
    order_id TEXT NOT NULL,
    line INTEGER NOT NULL,
    sku TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    refunded_quantity INTEGER NOT NULL,
    currency TEXT NOT NULL,
    unit_price_minor INTEGER NOT NULL,
    discount_minor INTEGER NOT NULL,
    discount_reason TEXT NOT NULL,
    order_discount_minor INTEGER NOT NULL,
    total_minor INTEGER NOT NULL,
    tax_rate TEXT NOT NULL,
    tax_ppm INTEGER NOT NULL,
    tax_minor INTEGER NOT NULL,
    PRIMARY KEY (order_id, line)
) STRICT, WITHOUT ROWID;
CREATE TABLE payments (
    order_id TEXT NOT NULL,
    payment INTEGER NOT NULL,
    tender TEXT NOT NULL,
    currency TEXT NOT NULL,
    tendered_minor INTEGER NOT NULL,
    PRIMARY KEY (order_id, payment)
) STRICT, WITHOUT ROWID;
CREATE TABLE refunds (
    refund_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    series TEXT NOT NULL,
    receipt INTEGER NOT NULL,
    currency TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    reason TEXT NOT NULL,
    restock INTEGER NOT NULL,
    business_day TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    undone_by TEXT,
    undone_receipt INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refunds_order ON refunds (order_id);
CREATE INDEX refunds_receipt ON refunds (series, receipt);
CREATE TABLE refund_lines (
    refund_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    line INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    currency TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    tax_minor INTEGER NOT NULL,
    PRIMARY KEY (refund_id, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE items (
    event_id TEXT NOT NULL,
    sku TEXT NOT NULL,
    name TEXT NOT NULL,
    currency TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    tax_rate TEXT NOT NULL,
    barcode TEXT NOT NULL,
    product TEXT NOT NULL,
    owner TEXT NOT NULL,
    offered INTEGER NOT NULL,
    limit_rule TEXT NOT NULL,
    here INTEGER NOT NULL,
    sold INTEGER NOT NULL,
    PRIMARY KEY (event_id, sku)
) STRICT, WITHOUT ROWID;
CREATE TABLE drawers (
    event_id TEXT NOT NULL,
    stream_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    opened_at TEXT,
    opening_minor INTEGER NOT NULL,
    expected_minor INTEGER NOT NULL,
    while_closed_minor INTEGER NOT NULL,
    counted_at TEXT,
    counted_minor INTEGER,
    PRIMARY KEY (event_id, stream_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE anomalies (
    op_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (op_id, kind)
) STRICT, WITHOUT ROWID;
