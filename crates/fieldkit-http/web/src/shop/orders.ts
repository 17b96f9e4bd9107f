// Reading an order: states in words, what is left to give back, times for people.
// Promises: amounts come from the daemon's order; where one cannot be derived for sure the answer is null.
import { refundShare } from "./totals.ts";
import type { Order, OrderLine, OrderState, Payment } from "./types.ts";

export const STATE_WORDS: Record<OrderState, string> = {
  awaiting_payment: "Waiting for payment",
  cancelled: "Cancelled",
  paid: "Paid",
  part_refunded: "Partly refunded",
  refunded: "Refunded",
  voided: "Voided",
};

/** Until an order is paid it has no receipt number; given up, it never gets one. */
export function receiptName(order: { series: string; receipt: number | null; state: OrderState }): string {
  if (order.receipt === null && order.state === "cancelled") return "No receipt";
  return order.receipt === null ? "No receipt yet" : `${order.series}-${order.receipt}`;
}

const TENDER_WORDS: Record<string, string> = { cash: "Cash", card: "Card", "card-external": "Card, own reader" };

export function tenderName(payment: Payment): string {
  const name = TENDER_WORDS[payment.tender] ?? payment.tender;
  return payment.reference === null ? name : `${name} ${payment.reference}`;
}

/** Payments whose money counts for the order; attempts that came to nothing are left out. */
export function taken(order: Order): Payment[] {
  return order.payments.filter((payment) => payment.tender === "cash" || payment.taken.minor > 0);
}

/** What a void gives back at the kit's own terminal, in minor units. */
export function paidAtTerminal(order: Order): number {
  return taken(order).reduce((sum, payment) => sum + (payment.tender === "card" ? payment.amount.minor : 0), 0);
}

/** What was paid without cash, in minor units. */
export function paidByCard(order: Order): number {
  return taken(order).reduce((sum, payment) => sum + (payment.tender === "cash" ? 0 : payment.amount.minor), 0);
}

export function leftOf(line: OrderLine): number {
  return line.quantity - line.refunded_quantity;
}

export function leftToRefund(order: Order): number {
  if (order.state !== "paid" && order.state !== "part_refunded") return 0;
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
