// Amending an order that is paid: refund, void, and the undo of either.
// Promises: one write at a time per kind; the outcome said is the one the daemon replied with.
import { formatMoney } from "./money.ts";
import { paidByCard, receiptName } from "./orders.ts";
import { say } from "./say.svelte.ts";
import type { Order, Refund } from "./types.ts";
import { kit } from "./updates.svelte.ts";
import { Writer } from "./writer.svelte.ts";

export interface RefundRequest {
  lines: { line: number; quantity: number }[];
  reason: string;
  tender: "cash";
  restock: boolean;
}

class Amend {
  readonly refunding = new Writer<Order>("refund");
  readonly voiding = new Writer<Order>("void");
  readonly undoing = new Writer<Order>("undo");
  /** The newest reply, for whoever shows that order. */
  latest = $state.raw<Order | null>(null);

  async refund(order: Order, request: RefundRequest): Promise<boolean> {
    const path = `/orders/${encodeURIComponent(order.order_id)}/refund`;
    return this.#took(await this.refunding.run(`refund of ${receiptName(order)}`, "POST", path, request));
  }

  async void(order: Order, reason: string): Promise<boolean> {
    const path = `/orders/${encodeURIComponent(order.order_id)}/void`;
    const reply = await this.voiding.run(`void of ${receiptName(order)}`, "POST", path, { reason });
    // A terminal has to pay the card back first; the receipt follows that.
    if (reply !== null && reply.state !== "voided") say.good(`${receiptName(order)}: the card is paid back at the terminal.`);
    return this.#took(reply, paidByCard(order), reply?.state !== "voided");
  }

  async again(writer: Writer<Order>): Promise<boolean> {
    return this.#took(await writer.again());
  }

  async undo(refund: Refund): Promise<void> {
    const path = `/refunds/${encodeURIComponent(refund.refund_id)}/undo`;
    const order = await this.undoing.run(`undo of receipt ${refund.receipt}`, "POST", path, {});
    if (order === null) return;
    this.latest = order;
    say.good(`Undone: take ${formatMoney(refund.amount, kit.exponent)} back into the drawer.`);
  }

  /** `by_card`: what a void gives back on the reader that took it, in minor units; `waits`: a terminal has its say first. */
  #took(order: Order | null, by_card = 0, waits = false): boolean {
    if (order === null) return false;
    this.latest = order;
    const refund = order.refunds.at(-1);
    if (refund !== undefined && !waits) {
      const cash = refund.amount.minor - (refund.kind === "void" ? by_card : 0);
      const shown = (minor: number) => formatMoney({ minor, currency: refund.amount.currency }, kit.exponent);
      const what = refund.kind === "void" ? `Voided ${receiptName(order)}` : `Refund recorded on ${receiptName(order)}`;
      if (cash === refund.amount.minor) say.good(`${what}: give back ${shown(cash)} in cash.`, () => void this.undo(refund));
      else say.good(`${what}: give back ${shown(by_card)} on the card reader and ${shown(cash)} in cash.`);
    }
    return true;
  }
}

export const amend = new Amend();
