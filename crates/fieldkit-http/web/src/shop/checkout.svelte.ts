// From cart to order.
// Promises: one cart makes at most one order, however often the key is pressed and whenever the page is reloaded;
// the cart is emptied only by the kit's own reply.
import { cart } from "./cart.svelte.ts";
import { readerProblem, waiting } from "./collect.svelte.ts";
import { largestNote } from "./money.ts";
import { route } from "./route.svelte.ts";
import { cannotCharge } from "./standing.ts";
import type { Money, Order, Tender } from "./types.ts";
import { kit } from "./updates.svelte.ts";
import { Writer, type Pending } from "./writer.svelte.ts";

const JUST_SOLD = "fieldkit.just_sold";
/** A second press this soon is the same press (a bounce, a scanner's extra Enter), not an answer to the question. */
const BOUNCE_MS = 800;

class Checkout {
  readonly writer = new Writer<Order>("order");
  /** Why the payment cannot be taken yet, for the line above the key. */
  hint = $state("");
  /** The order this tab sold last: its receipt opens with the change in big digits. */
  just_sold = $state<string | null>(sessionStorage.getItem(JUST_SOLD));
  #fresh: Order | null = null;
  #asked_about: { given: number; at: number } | null = null;

  async pay(): Promise<void> {
    if (this.writer.busy || cart.empty) return;
    const tenders = this.#tenders();
    if (tenders === null) return;
    this.hint = "";
    cart.locked = true;
    await this.#finish(this.writer.run("sale", "POST", "/orders", cart.request(tenders)));
  }

  #tenders(): Tender[] | null {
    if (cart.way === "reader") return this.#reader();
    return cart.way === "card" && kit.terminals.length > 0 ? this.#card() : this.#cash();
  }

  #money(minor: number): Money {
    return { minor, currency: kit.currency };
  }

  #no(hint: string): null {
    this.hint = hint;
    return null;
  }

  #card(): Tender[] | null {
    const why = cannotCharge(kit.terminal);
    if (why !== null) return this.#no(why);
    const [total, part] = [cart.totals.total, cart.part_minor];
    if (total === 0) return this.#no("There is nothing to charge; take it as cash.");
    if (part === null) return this.#no("The part in cash is not an amount yet.");
    if (part >= total) return this.#no("That leaves nothing for the card; take it as cash.");
    return part === 0 ? [{ kind: "card" }] : [{ kind: "cash", amount: this.#money(part) }, { kind: "card" }];
  }

  #reader(): Tender[] | null {
    const [total, minor, reference] = [cart.totals.total, cart.reader_minor, cart.reference.trim()];
    const why = readerProblem(minor, total, reference);
    if (why !== null || minor === null) return this.#no(why ?? "");
    const reader: Tender = { kind: "card-external", amount: this.#money(minor), reference };
    return minor === total ? [reader] : [{ kind: "cash", amount: this.#money(total - minor) }, reader];
  }

  #cash(): Tender[] | null {
    const given = cart.given_minor;
    const total = cart.totals.total;
    if (given === null) {
      return this.#no(cart.given.trim() === "" ? "Type what the buyer hands over, or press Exact." : "That is not an amount yet.");
    }
    if (given < total) return this.#no("That is less than the total.");
    if (!this.#sureAbout(given, total)) return null;
    return [{ kind: "cash", amount: this.#money(given) }];
  }

  /** A payment that was under way before a reload. */
  async resume(pending: Pending): Promise<void> {
    cart.locked = true;
    await this.#finish(this.writer.resume(pending));
  }

  async again(): Promise<void> {
    await this.#finish(this.writer.again());
  }

  /** The operator has looked in Orders and takes the cart back. */
  takeBack(): void {
    this.writer.giveUp();
    cart.locked = false;
  }

  changed(): void {
    this.hint = "";
    this.#asked_about = null;
  }

  /** The kit's reply itself, once, so that the receipt is on screen without another question. */
  takeFresh(id: string): Order | null {
    const order = this.#fresh?.order_id === id ? this.#fresh : null;
    this.#fresh = null;
    return order;
  }

  /** The order is paid, and this tab saw it happen. */
  sold(order_id: string): void {
    sessionStorage.setItem(JUST_SOLD, order_id);
    waiting.clear(order_id);
    this.just_sold = order_id;
  }

  newSale(): void {
    this.just_sold = null;
    this.#fresh = null;
    sessionStorage.removeItem(JUST_SOLD);
    route.go("sell");
  }

  async #finish(outcome: Promise<Order | null>): Promise<void> {
    const order = await outcome;
    cart.locked = this.writer.busy;
    if (order === null) {
      // A refused total means the prices here are old.
      if (this.writer.problem !== null && !this.writer.busy) void kit.readItems().catch(() => {});
      return;
    }
    cart.clear();
    // Until it is paid nothing is sold; the screen of the open order tells when it is.
    if (order.state === "awaiting_payment") waiting.set(order.order_id);
    else this.sold(order.order_id);
    this.#fresh = order;
    route.go("orders", order.order_id);
  }

  /** Change beyond the largest note is asked about once; a price tag scanned into the field looks like this. */
  #sureAbout(given: number, total: number): boolean {
    const now = performance.now();
    const asked = this.#asked_about;
    if (given - total <= largestNote(kit.currency, kit.exponent)) return true;
    if (asked !== null && asked.given === given) return now - asked.at > BOUNCE_MS;
    this.#asked_about = { given, at: now };
    this.hint = "The change is more than the largest note. If that is right, press Take payment again.";
    return false;
  }
}

export const checkout = new Checkout();
