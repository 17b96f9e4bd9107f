// The cart of this tab: what the buyer gathers before it is an order.
// Promises: survives a reload; follows the kit's prices and says so when one changed; locked while a payment is under way.
import { forget, keep, kept } from "./keep.ts";
import { decimalText, formatMoney, likelyHandovers, parseMoney } from "./money.ts";
import { cartTotal, type CartTotal } from "./totals.ts";
import type { Discount, Item, OrderRequest, Tender } from "./types.ts";
import { kit } from "./updates.svelte.ts";

export interface CartLine {
  id: number;
  sku: string;
  name: string;
  quantity: number;
  unit_minor: number;
  tax_ppm: number;
  open_price: boolean;
  discount: Discount | null;
  discount_reason: string;
  /** What changed since it was put in, in words. */
  note: string;
}

interface CartState {
  lines: CartLine[];
  discount: Discount | null;
  discount_reason: string;
  opened_at: string | null;
  /** What the buyer hands over, as typed; `exact` follows the total. */
  given: string;
  exact: boolean;
  /** How the buyer pays. */
  way: Way;
  /** With a card: the part in cash, as typed. */
  part: string;
  /** On an own reader: the amount as typed (null: all of it, whatever that comes to), and the reference. */
  reader: string | null;
  reference: string;
}

export type Way = "cash" | "card" | "reader";

const CART = "fieldkit.cart";
const QUANTITY_MAX = 9_999;

const EMPTY: CartState = {
  lines: [],
  discount: null,
  discount_reason: "",
  opened_at: null,
  given: "",
  exact: false,
  way: "cash",
  part: "",
  reader: null,
  reference: "",
};

class Cart {
  #state = $state<CartState>({ ...EMPTY, ...kept<Partial<CartState>>(sessionStorage, CART) });
  /** Set while an order of this cart is on its way: nothing may change underneath it. */
  locked = $state(false);
  /** The line that was changed last, to be kept in sight. */
  touched = $state<{ id: number } | null>(null);

  get lines(): CartLine[] {
    return this.#state.lines;
  }
  get discount(): Discount | null {
    return this.#state.discount;
  }
  get discount_reason(): string {
    return this.#state.discount_reason;
  }
  get empty(): boolean {
    return this.#state.lines.length === 0;
  }
  get pieces(): number {
    return this.#state.lines.reduce((sum, line) => sum + line.quantity, 0);
  }

  readonly totals: CartTotal = $derived.by(() => {
    const lines = this.#state.lines.map((line) => ({
      unit_minor: line.unit_minor,
      quantity: line.quantity,
      tax_ppm: line.tax_ppm,
      discount: line.discount,
    }));
    return cartTotal(lines, this.#state.discount, kit.status?.prices ?? "inclusive");
  });

  get exact(): boolean {
    return this.#state.exact;
  }
  get given(): string {
    return this.#state.given;
  }

  /** Minor units handed over, null while the field is empty or not an amount. */
  readonly given_minor: number | null = $derived.by(() => {
    if (this.#state.exact) return this.totals.total;
    const parsed = parseMoney(this.#state.given, kit.currency, kit.exponent);
    return parsed.ok ? parsed.value : null;
  });

  get way(): Way {
    return this.#state.way;
  }
  get part(): string {
    return this.#state.part;
  }
  get reader(): string | null {
    return this.#state.reader;
  }
  get reference(): string {
    return this.#state.reference;
  }

  /** With a card: minor units in cash; null where that is no amount. */
  readonly part_minor: number | null = $derived(this.#state.part.trim() === "" ? 0 : this.#typed(this.#state.part));
  /** On an own reader: minor units charged there; null where that is no amount. */
  readonly reader_minor: number | null = $derived(this.#state.reader === null ? this.totals.total : this.#typed(this.#state.reader));

  #typed(text: string): number | null {
    const parsed = parseMoney(text, kit.currency, kit.exponent);
    return parsed.ok ? parsed.value : null;
  }

  pay(how: Partial<Pick<CartState, "way" | "part" | "reader" | "reference">>): void {
    if (this.locked) return;
    Object.assign(this.#state, how);
    this.#save();
  }

  readonly handovers: number[] = $derived(
    this.totals.total > 0 ? likelyHandovers(this.totals.total, kit.currency, kit.exponent) : [],
  );

  quantityOf(sku: string): number {
    return this.#state.lines.reduce((sum, line) => sum + (line.sku === sku ? line.quantity : 0), 0);
  }

  /** Adds one piece; `price_minor` is for open-price goods. Says why not, or null. */
  add(item: Item, price_minor: number | null = null): string | null {
    if (this.locked) return "A payment is under way; finish it first.";
    if (item.limit === "hard" && this.quantityOf(item.sku) >= item.here) {
      return item.here <= 0 ? `${item.name}: none left.` : `${item.name}: only ${item.here} left.`;
    }
    const unit_minor = price_minor ?? item.price.minor;
    const same = this.#state.lines.find((line) => line.sku === item.sku && line.unit_minor === unit_minor);
    if (same !== undefined) {
      same.quantity = Math.min(same.quantity + 1, QUANTITY_MAX);
    } else {
      this.#state.lines.push({
        id: this.#state.lines.reduce((most, line) => Math.max(most, line.id), 0) + 1,
        sku: item.sku,
        name: item.name,
        quantity: 1,
        unit_minor,
        tax_ppm: item.tax_ppm,
        open_price: item.open_price,
        discount: null,
        discount_reason: "",
        note: "",
      });
    }
    const line = same ?? this.#state.lines.at(-1);
    this.touched = line === undefined ? null : { id: line.id };
    this.#state.opened_at ??= localTime(new Date());
    this.#save();
    return null;
  }

  setQuantity(id: number, quantity: number): void {
    if (this.locked || !Number.isSafeInteger(quantity)) return;
    if (quantity <= 0) return this.remove(id);
    const line = this.#state.lines.find((each) => each.id === id);
    if (line !== undefined) line.quantity = Math.min(quantity, QUANTITY_MAX);
    this.#save();
  }

  remove(id: number): void {
    if (this.locked) return;
    this.#state.lines = this.#state.lines.filter((line) => line.id !== id);
    if (this.empty) this.#state = { ...EMPTY };
    this.#save();
  }

  discountLine(id: number, discount: Discount | null, reason: string): void {
    if (this.locked) return;
    const line = this.#state.lines.find((each) => each.id === id);
    if (line === undefined) return;
    line.discount = discount;
    line.discount_reason = discount === null ? "" : reason;
    this.#save();
  }

  discountOrder(discount: Discount | null, reason: string): void {
    if (this.locked) return;
    this.#state.discount = discount;
    this.#state.discount_reason = discount === null ? "" : reason;
    this.#save();
  }

  give(text: string): void {
    this.#state.given = text;
    this.#state.exact = false;
    this.#save();
  }

  giveMinor(minor: number): void {
    this.give(decimalText(minor, kit.exponent));
  }

  giveExact(): void {
    this.#state.given = "";
    this.#state.exact = true;
    this.#save();
  }

  /** Empties the cart and returns the way back. */
  clear(): () => void {
    const before = $state.snapshot(this.#state) as CartState;
    this.#state = { ...EMPTY };
    this.#save();
    return () => {
      if (!this.empty || this.locked) return;
      this.#state = before;
      this.#save();
    };
  }

  /** Takes over new prices and names; the operator is told, line by line. */
  follow(items: Map<string, Item>): void {
    if (this.locked) return;
    let changed = false;
    for (const line of this.#state.lines) {
      const item = items.get(line.sku);
      if (item === undefined || (item.name === line.name && item.tax_ppm === line.tax_ppm && samePrice(line, item))) continue;
      if (!samePrice(line, item)) {
        const before = formatMoney({ minor: line.unit_minor, currency: item.price.currency }, kit.exponent);
        line.note = `Price changed; it was ${before}.`;
        line.unit_minor = item.price.minor;
      }
      line.name = item.name;
      line.tax_ppm = item.tax_ppm;
      changed = true;
    }
    if (changed) this.#save();
  }

  request(tenders: Tender[]): OrderRequest {
    const currency = kit.currency;
    return {
      lines: this.#state.lines.map((line, at) => ({
        sku: line.sku,
        quantity: line.quantity,
        ...(line.open_price ? { price: { minor: line.unit_minor, currency } } : {}),
        ...discountSent(line.discount, line.discount_reason, this.totals.lines[at]?.line_discount ?? 0),
      })),
      tenders,
      expected_total: { minor: this.totals.total, currency },
      source: { till: "till-1" },
      cart_opened_at: this.#state.opened_at ?? localTime(new Date()),
      ...discountSent(this.#state.discount, this.#state.discount_reason, this.totals.order_discount),
    };
  }

  #save(): void {
    if (this.empty) forget(sessionStorage, CART);
    else keep(sessionStorage, CART, $state.snapshot(this.#state));
  }
}

function samePrice(line: CartLine, item: Item): boolean {
  return line.open_price || line.unit_minor === item.price.minor;
}

/** An amount may have become more than there is to take it off from (pieces were removed); what was shown is what is sent. */
function discountSent(discount: Discount | null, reason: string, shown_minor: number) {
  if (discount === null || shown_minor === 0) return {};
  return { discount: "ppm" in discount ? { ppm: discount.ppm } : { minor: shown_minor }, discount_reason: reason };
}

/** RFC 3339 with this device's own offset. */
export function localTime(at: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const offset = -at.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const away = Math.abs(offset);
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${date}T${time}${sign}${two(Math.floor(away / 60))}:${two(away % 60)}`;
}

export const cart = new Cart();
