// The shapes of the daemon's HTTP contract, version 1.
// Promises: nothing but types; names are those on the wire.

export interface Money {
  minor: number;
  currency: string;
}

export interface TaxRate {
  id: string;
  name: string;
  ppm: number;
}

export interface Seller {
  name: string;
  address: string;
  tax_id: string;
}

export type PriceKind = "inclusive" | "exclusive";

export interface Head {
  stream: string;
  seq: number;
  hash: string;
  check: string;
}

export interface Notice {
  level: "info" | "warn" | "error";
  code: string;
  text: string;
  next_step: string;
}

/** Limited goods that are not sold yet after a start, why, and what to do. */
export interface Shut {
  items: { sku: string; name: string; here: number }[];
  text: string;
  next_step: string;
}

/** What the kit wants a page to remember, where it holds what it is said to hold. */
export interface Remember {
  page: string;
  stream: string;
  from_seq: number;
  from_hash: string;
  seq: number;
  hash: string;
}

/** Limited goods of one SKU, and who may sell them. */
export interface Pool {
  sku: string;
  name: string;
  here: number;
  elsewhere: number;
  sold: number;
  at_rest: number;
  shut: boolean;
  holders: { kit: string; replica: string; own: boolean; held: number }[];
  asks: { by: string; of: string; quantity: number }[];
}

/** A device that the kit drives. */
export interface Device {
  device_id: string;
  role: string;
  label: string;
  url: string;
  link: "down" | "up" | "ready";
  trouble: string | null;
  /** The payment that runs on it. */
  payment_id: string | null;
  /** What it shows now. */
  text: string | null;
}

export interface Status {
  kit: string;
  replica: string;
  version: string;
  event: string | null;
  event_name: string | null;
  currency: string;
  currency_exponent: number;
  zone: string;
  prices: PriceKind;
  tax_rates: TaxRate[];
  seller: Seller | null;
  training: boolean;
  safe_mode: boolean;
  durability: {
    word: string;
    box: "healthy" | "behind" | "missing" | "off";
    box_same_medium: boolean;
    since: string | null;
  };
  devices: Device[];
  exposure: Money | null;
  clock: { quality: "unverified" | "system" | "confirmed"; now: string };
  head: Head | null;
  drawer: "open" | "closed";
  /** Limited goods that are not sold yet after a start. */
  shut: Shut | null;
  notices: Notice[];
}

export interface ShopEvent {
  event_id: string;
  name: string;
  state: "open" | "closed";
  zone: string;
  currency: string;
  opened_at: string;
  closed_at: string | null;
  seller: Seller;
  tax_rates: TaxRate[];
  prices: PriceKind;
  day_cutover_minutes: number;
}

export interface ClosedEvent extends ShopEvent {
  sales_go_to: { event_id: string; name: string } | null;
}

export interface NewEvent {
  name: string;
  zone: string;
  day_cutover_minutes: number;
  currency: string;
  seller: Seller;
  tax_rates: TaxRate[];
  prices: PriceKind;
  clone_from?: string;
}

export interface Item {
  sku: string;
  name: string;
  product: string | null;
  options: [string, string][];
  price: Money;
  tax_rate: string;
  tax_ppm: number;
  image: string | null;
  barcode: string | null;
  open_price: boolean;
  limit: "soft" | "hard" | "uncounted";
  here: number;
  elsewhere: number;
  sold: number;
  price_conflict: Money[] | null;
}

export type Discount = { minor: number } | { ppm: number };

/** What the buyer gives. A card without an amount takes what is left to pay. */
export type Tender =
  | { kind: "cash"; amount: Money }
  | { kind: "card"; amount?: Money }
  | { kind: "card-external"; amount: Money; reference: string };

export interface OrderRequest {
  lines: {
    sku: string;
    quantity: number;
    price?: Money;
    discount?: Discount;
    discount_reason?: string;
  }[];
  discount?: Discount;
  discount_reason?: string;
  tenders: Tender[];
  expected_total: Money;
  source: { till: string };
  cart_opened_at: string;
}

export interface OrderLine {
  line: number;
  sku: string;
  name: string;
  quantity: number;
  unit_price: Money;
  discount: Money | null;
  discount_reason: string | null;
  total: Money;
  tax_rate: string;
  tax_ppm: number;
  tax: Money;
  refunded_quantity: number;
}

export interface Refund {
  refund_id: string;
  series: string;
  receipt: number;
  kind: "refund" | "void";
  amount: Money;
  reason: string;
  at: string;
  undone: boolean;
  lines: { line: number; quantity: number }[];
}

export interface Payment {
  payment_id: string;
  tender: string;
  state: string;
  amount: Money;
  tendered: Money | null;
  change: Money | null;
  taken: Money;
  reference: string | null;
  card: string | null;
  /** The terminal that was asked, and what the crew calls it. */
  device_id: string | null;
  label: string | null;
  /** Why it came to nothing or is not known, in the terminal's or the kit's words; of one closed by hand, the evidence. */
  said: string | null;
  terminal_receipt: number | null;
  trace: number | null;
  charged: Money | null;
}

export type OrderState = "awaiting_payment" | "cancelled" | "paid" | "part_refunded" | "refunded" | "voided";

export interface Order {
  order_id: string;
  receipt: number | null;
  series: string;
  state: OrderState;
  placed_at: string;
  business_day: string;
  lines: OrderLine[];
  discount: Money | null;
  discount_reason: string | null;
  total: Money;
  /** What is left to pay; nothing once it is paid or given up. */
  left: Money;
  taxes: { rate: string; ppm: number; net: Money; tax: Money }[];
  change: Money | null;
  payments: Payment[];
  refunds: Refund[];
  durability: string;
  slip: string;
  receipt_token: string | null;
  training: boolean;
  operator: string | null;
  seller: Seller | null;
  event_name: string | null;
  warnings: string[];
}

/** An order in short, as the update stream tells it. */
export interface OrderUpdate {
  order_id: string;
  receipt: number | null;
  series: string;
  state: OrderState;
  total: Money;
}

/** Money that a terminal took and that belongs to no order of the kit. */
export interface ForeignPayment {
  found_id: string;
  device_id: string | null;
  terminal_id: string;
  amount: Money;
  receipt: number;
  trace: number | null;
  card: string;
  date: string | null;
  time: string | null;
  settled: boolean;
  note: string | null;
}

export interface DrawerMovement {
  direction: "in" | "out";
  amount: Money;
  reason: string;
  at: string;
}

/** A drawer that is open where no sales go. */
export interface UncountedDrawer {
  event: string;
  event_name: string;
  expected: Money;
}

export interface Drawer {
  event: string | null;
  event_name: string | null;
  state: "open" | "closed";
  opened_at: string | null;
  opening: Money | null;
  expected: Money | null;
  while_closed: Money | null;
  movements: DrawerMovement[];
  last_count: {
    counted: Money;
    expected: Money;
    variance: Money;
    note: string | null;
    at: string;
  } | null;
  uncounted: UncountedDrawer[];
}

export interface ImportResult {
  created: number;
  changed: number;
  unchanged: number;
  rejected: { line: number; reason: string }[];
  warnings: string[];
}

export interface WitnessVerdict {
  verdict: "agrees" | "ahead" | "contradicts" | "unknown_stream";
}

/** RFC 9457 problem: what happened, what was touched, the one next step. */
export interface Problem {
  title: string;
  status: number;
  code: string;
  detail: string;
  touched: string;
  next_step: string;
}
