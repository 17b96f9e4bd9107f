// Working on an order that waits for its payment: another attempt, cash or an own reader instead, giving it up, closing
// by hand, and what the crew tells a terminal.
// Promises: one write at a time; every outcome shown is the kit's reply. A wish to a terminal records nothing.
import { untrack } from "svelte";
import { amend } from "./amend.svelte.ts";
import { NotKnown, Refused, tell } from "./api.ts";
import { forget, keep, kept } from "./keep.ts";
import type { Order, Payment, Problem, Tender } from "./types.ts";
import { Writer } from "./writer.svelte.ts";

const WAITING = "fieldkit.waiting";
const DOUBTED = "fieldkit.doubted";
const DOUBTED_MAX = 20;

/** A press this soon after the screen changed was meant for the screen before. */
const BOUNCE_MS = 600;

class Collect {
  readonly writer = new Writer<Order>("collect");
  /** The last wish told to a terminal, and what came of it. */
  wish = $state<{ payment_id: string; kind: "stop" | "ask"; heard: boolean } | null>(null);
  wish_problem = $state<Problem | null>(null);
  #settled_at = 0;

  /** How many screens show a doubt about money: its notice above would say the same again. */
  doubts_shown = $state(0);

  show(): () => void {
    untrack(() => (this.doubts_shown += 1));
    return () => (this.doubts_shown -= 1);
  }

  /** The screen shows something else from now on. */
  turned(): void {
    this.#settled_at = performance.now() + BOUNCE_MS;
  }

  get #bounced(): boolean {
    return performance.now() < this.#settled_at;
  }

  async again(order: Order): Promise<void> {
    if (this.#bounced) return;
    await this.#run("another try with a card", `${pathOf(order)}/payments`, {});
  }

  async settle(order: Order, tenders: Tender[]): Promise<void> {
    if (this.#bounced) return;
    await this.#run("payment of the order", `${pathOf(order)}/settle`, { tenders });
  }

  async cancel(order: Order, reason: string): Promise<boolean> {
    return this.#run("giving the order up", `${pathOf(order)}/cancel`, { reason });
  }

  async close(order: Order, payment: Payment, charged: boolean, evidence: string): Promise<boolean> {
    return this.#run("closing the payment by hand", `${pathOf(order)}/payments/${encodeURIComponent(payment.payment_id)}/close`, { charged, evidence });
  }

  async reverse(order: Order, payment: Payment, reason: string): Promise<boolean> {
    return this.#run("paying the card back", `${pathOf(order)}/payments/${encodeURIComponent(payment.payment_id)}/reverse`, { reason });
  }

  async retry(): Promise<void> {
    this.#take(await this.writer.again());
  }

  /** Tells the terminal to stop, or asks it for its last transaction once more. */
  async tell(payment: Payment, device_id: string, kind: "stop" | "ask"): Promise<void> {
    const wish = { payment_id: payment.payment_id, kind, heard: false };
    this.wish = wish;
    this.wish_problem = null;
    try {
      await tell(`/devices/${encodeURIComponent(device_id)}/${kind}`);
      if (this.wish?.payment_id === wish.payment_id && this.wish.kind === kind) this.wish = { ...wish, heard: true };
    } catch (error) {
      this.wish = null;
      if (error instanceof Refused) this.wish_problem = error.problem;
      else if (error instanceof NotKnown) this.wish_problem = error.problem ?? UNHEARD;
    }
  }

  /** Nothing of an order shown before belongs to this one. */
  leave(): void {
    this.wish = null;
    this.wish_problem = null;
    this.writer.clearProblem();
  }

  async #run(label: string, path: string, body: unknown): Promise<boolean> {
    return this.#take(await this.writer.run(label, "POST", path, body));
  }

  #take(order: Order | null): boolean {
    if (order === null) return false;
    amend.latest = order;
    return true;
  }
}

const UNHEARD: Problem = {
  title: "Not told",
  status: 0,
  code: "not_told",
  detail: "The kit did not answer, so the terminal was not told.",
  touched: "Nothing was recorded.",
  next_step: "Use the terminal's own keys, or try again.",
};

function pathOf(order: Order): string {
  return `/orders/${encodeURIComponent(order.order_id)}`;
}

/** Why an own reader's payment cannot be taken down yet, or null. */
export function readerProblem(minor: number | null, most: number, reference: string): string | null {
  if (minor === null || minor === 0) return "Type the amount that the reader took.";
  if (minor > most) return "That is more than is left to pay.";
  if (reference === "") return "Type the reader's reference, or the card's last four digits.";
  return null;
}

/** The order that this browser placed last and that waited for its payment then. */
export const waiting = {
  get: (): string | null => kept<string>(localStorage, WAITING),
  set: (order_id: string): void => void keep(localStorage, WAITING, order_id),
  clear: (order_id: string): void => {
    if (waiting.get() === order_id) forget(localStorage, WAITING);
  },
};

/** Orders whose payment was unknown for a while, so that their receipts can say how it ended. */
export const doubted = {
  has: (order_id: string): boolean => list().includes(order_id),
  add: (order_id: string): void => {
    if (!doubted.has(order_id)) keep(localStorage, DOUBTED, [...list(), order_id].slice(-DOUBTED_MAX));
  },
};

function list(): string[] {
  const known = kept<unknown>(localStorage, DOUBTED);
  return Array.isArray(known) ? known.filter((id) => typeof id === "string") : [];
}

export const collect = new Collect();
