// Reading an order: states in words, what is left to give back, times for people.
// Promises: amounts come from the daemon's order; where one cannot be derived for sure the answer is null.
import { refundShare } from "./totals.ts";
import type { Order, OrderLine, OrderState } from "./types.ts";

export const STATE_WORDS: Record<OrderState, string> = {
  paid: "Paid",
  part_refunded: "Partly refunded",
  refunded: "Refunded",
  voided: "Voided",
};

export function receiptName(order: { series: string; receipt: number }): string {
  return `${order.series}-${order.receipt}`;
}

export function leftOf(line: OrderLine): number {
  return line.quantity - line.refunded_quantity;
}

export function leftToRefund(order: Order): number {
  if (order.state === "voided" || order.state === "refunded") return 0;
  return order.lines.reduce((sum, line) => sum + leftOf(line), 0);
}

export function canVoid(order: Order): boolean {
  return order.state === "paid" && order.refunds.every((refund) => refund.undone);
}

/** What the chosen pieces are worth, or null when only the daemon can tell. */
export function refundAmount(order: Order, chosen: Map<number, number>): number | null {
  const given_back = order.refunds.reduce((sum, refund) => sum + (refund.undone ? 0 : refund.amount.minor), 0);
  if (order.lines.every((line) => (chosen.get(line.line) ?? 0) === leftOf(line))) return order.total.minor - given_back;
  const payables = payablesOf(order);
  if (payables === null) return null;
  return order.lines.reduce((sum, line, i) => {
    const pieces = chosen.get(line.line) ?? 0;
    return sum + (pieces === 0 ? 0 : refundShare(payables[i] ?? 0, line.quantity, line.refunded_quantity, pieces));
  }, 0);
}

/** Each line as the buyer paid it. `total` holds the tax or not, depending on the prices; the order's total decides. */
export function payablesOf(order: Order): number[] | null {
  const plain = order.lines.map((line) => line.total.minor);
  const taxed = order.lines.map((line) => line.total.minor + line.tax.minor);
  const sum = (amounts: number[]) => amounts.reduce((a, b) => a + b, 0);
  if (sum(plain) === order.total.minor) return plain;
  if (sum(taxed) === order.total.minor) return taxed;
  return null;
}

export function timeOfDay(time: string, zone?: string): string {
  return written(time, zone, { hour: "2-digit", minute: "2-digit" });
}

export function dayAndTime(time: string, zone?: string): string {
  return written(time, zone, { dateStyle: "medium", timeStyle: "short" });
}

function written(time: string, zone: string | undefined, options: Intl.DateTimeFormatOptions): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return time;
  try {
    return new Intl.DateTimeFormat(undefined, zone === undefined ? options : { ...options, timeZone: zone }).format(at);
  } catch {
    return new Intl.DateTimeFormat(undefined, options).format(at);
  }
}
