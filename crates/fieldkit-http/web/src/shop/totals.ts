// The totals of a cart: discounts, their spread over lines, tax. The daemon applies the same rule.
// Promises: integers only (BigInt inside), half away from zero, the spread always adds up to the discount.
import type { Discount, PriceKind } from "./types.ts";

const MILLION = 1_000_000n;

export interface PricedLine {
  unit_minor: number;
  quantity: number;
  tax_ppm: number;
  discount: Discount | null;
}

export interface LineTotal {
  gross: number;
  line_discount: number;
  /** This line's part of the order discount. */
  share: number;
  /** After both discounts; holds the tax when prices are inclusive. */
  payable: number;
  tax: number;
}

export interface CartTotal {
  lines: LineTotal[];
  gross: number;
  line_discounts: number;
  order_discount: number;
  tax: number;
  total: number;
}

export function cartTotal(lines: PricedLine[], orderDiscount: Discount | null, prices: PriceKind): CartTotal {
  const grosses = lines.map((line) => BigInt(line.unit_minor) * BigInt(line.quantity));
  const discounts = lines.map((line, i) => discountOf(grosses[i] ?? 0n, line.discount));
  const bases = grosses.map((gross, i) => gross - (discounts[i] ?? 0n));
  const discount = discountOf(sum(bases), orderDiscount);
  const shares = spread(discount, bases);

  const totals = lines.map((line, i): LineTotal => {
    const payable = (bases[i] ?? 0n) - (shares[i] ?? 0n);
    const ppm = BigInt(line.tax_ppm);
    const divisor = prices === "inclusive" ? MILLION + ppm : MILLION;
    return {
      gross: Number(grosses[i] ?? 0n),
      line_discount: Number(discounts[i] ?? 0n),
      share: Number(shares[i] ?? 0n),
      payable: Number(payable),
      tax: Number(divideRounded(payable * ppm, divisor)),
    };
  });

  const payable = add(totals, (line) => line.payable);
  const tax = add(totals, (line) => line.tax);
  return {
    lines: totals,
    gross: add(totals, (line) => line.gross),
    line_discounts: add(totals, (line) => line.line_discount),
    order_discount: Number(discount),
    tax,
    total: prices === "inclusive" ? payable : payable + tax,
  };
}

/** What giving back `more` of a line is worth once `before` pieces are already back: the pieces add up to the whole. */
export function refundShare(payable: number, quantity: number, before: number, more: number): number {
  const upTo = (pieces: number) => divideRounded(BigInt(payable) * BigInt(pieces), BigInt(quantity));
  return Number(upTo(before + more) - upTo(before));
}

function discountOf(base: bigint, discount: Discount | null): bigint {
  if (discount === null) return 0n;
  const wanted = "ppm" in discount ? divideRounded(base * BigInt(discount.ppm), MILLION) : BigInt(discount.minor);
  return wanted > base ? base : wanted;
}

/** Largest remainder: floors first, then one unit each to the largest remainders, ties to the lower line. */
export function spread(amount: bigint, weights: bigint[]): bigint[] {
  const whole = sum(weights);
  if (whole === 0n) return weights.map(() => 0n);
  const shares = weights.map((weight) => (amount * weight) / whole);
  let left = amount - sum(shares);
  const order = weights
    .map((weight, line) => ({ line, remainder: (amount * weight) % whole }))
    .sort((a, b) => (a.remainder === b.remainder ? a.line - b.line : a.remainder > b.remainder ? -1 : 1));
  for (const { line } of order) {
    if (left === 0n) break;
    shares[line] = (shares[line] ?? 0n) + 1n;
    left -= 1n;
  }
  return shares;
}

/** Half away from zero; `divisor` is positive. */
export function divideRounded(value: bigint, divisor: bigint): bigint {
  const magnitude = value < 0n ? -value : value;
  const rounded = (2n * magnitude + divisor) / (2n * divisor);
  return value < 0n ? -rounded : rounded;
}

function sum(values: bigint[]): bigint {
  return values.reduce((a, b) => a + b, 0n);
}

function add(lines: LineTotal[], pick: (line: LineTotal) => number): number {
  return lines.reduce((total, line) => total + pick(line), 0);
}
