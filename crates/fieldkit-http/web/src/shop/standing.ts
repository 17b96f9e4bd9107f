// Reading a card payment: where it stands, who acts now, what is left to pay.
// Promises: pure; the words are for the crew, and no state that may have taken money is ever told as a no.
import type { Device, Money, Order, Payment } from "./types.ts";

/** What the screen of an order that waits for its payment shows. */
export type Phase = "running" | "unknown" | "undoing" | "undo_unknown" | "mismatched" | "ended";

const RUNNING = ["intended", "sent", "approved"];
const PHASES: Record<string, Phase> = {
  unknown: "unknown",
  reversing: "undoing",
  reversal_unknown: "undo_unknown",
  mismatched: "mismatched",
};

export function phaseOf(payment: Payment | null): Phase {
  if (payment === null) return "ended";
  if (RUNNING.includes(payment.state)) return "running";
  return PHASES[payment.state] ?? "ended";
}

/** The attempt that matters now: the one that holds the order, else the newest. */
export function currentPayment(order: Order): Payment | null {
  const cards = order.payments.filter((payment) => payment.tender === "card");
  return cards.find((payment) => phaseOf(payment) !== "ended") ?? cards.at(-1) ?? null;
}

/** Whether nobody knows what a card was charged or paid back. */
export function isDoubtful(order: Order): boolean {
  return order.payments.some((payment) => payment.state === "unknown" || payment.state === "reversal_unknown");
}

export type Actor = "buyer" | "crew" | "terminal" | "kit";

const ACTOR_WORDS: Record<Actor, string> = {
  buyer: "The buyer’s turn",
  crew: "Your turn, at the terminal",
  terminal: "The terminal is working",
  kit: "The kit is working",
};

export function actorWords(actor: Actor): string {
  return ACTOR_WORDS[actor];
}

/** Who acts now, by the payment's state and what the terminal shows. */
export function actorOf(payment: Payment, text: string | null): Actor {
  if (payment.state !== "sent") return "kit";
  const shown = (text ?? "").toLowerCase();
  if (/crew|cashier|operator/u.test(shown)) return "crew";
  // Asking for a card, not speaking of one: "card declined" is the terminal's own business.
  if (/\b(?:insert|hold|present|swipe|tap|remove|confirm|choosing|look at|pins?|read|amount)\b/u.test(shown)) return "buyer";
  return "terminal";
}

export interface Outcome {
  headline: string;
  detail: string;
  tone: "warn" | "bad" | "good";
}

/** How an attempt ended that took no money for the order, or not all of it. */
export function outcomeOf(payment: Payment, shown: (amount: Money) => string): Outcome {
  const said = payment.said ?? "";
  const other = payment.charged !== null && payment.charged.minor !== payment.amount.minor;
  if (other && ["not_charged", "reversed"].includes(payment.state) && payment.charged !== null) {
    const text = `The terminal charged ${shown(payment.charged)} instead of ${shown(payment.amount)} and took it back.`;
    return { headline: "Wrong amount, undone", detail: text, tone: "warn" };
  }
  switch (payment.state) {
    case "declined":
      return { headline: "Declined", detail: quoted("The terminal says", said) || "The terminal said no.", tone: "bad" };
    case "cancelled":
      return { headline: "Stopped", detail: stoppedBy(said), tone: "warn" };
    case "not_charged":
      return { headline: "Not charged", detail: `The terminal was asked: it charged nothing. ${sentence(said)}`.trim(), tone: "warn" };
    case "reversed":
      return { headline: "Paid back", detail: "The charge was undone; the buyer has the money back on the card.", tone: "warn" };
    case "closed_by_person":
      return {
        headline: payment.taken.minor > 0 ? "Closed by hand: charged" : "Closed by hand: not charged",
        detail: sentence(said),
        tone: "warn",
      };
    default:
      return {
        headline: "A part is paid",
        detail: `${shown(payment.taken)} is taken on the card.${said === "" ? "" : ` The terminal did not pay it back: ${sentence(said)}`}`,
        tone: said === "" ? "good" : "bad",
      };
  }
}

function stoppedBy(said: string): string {
  const word = said.toLowerCase();
  if (word.includes("crew")) return "Stopped at the till. Nothing was charged.";
  if (word.includes("kit")) return "The kit did not send it to the terminal. Nothing was charged.";
  return "Stopped at the terminal, or nobody came. Nothing was charged.";
}

function quoted(who: string, said: string): string {
  return said === "" ? "" : `${who}: ${sentence(said)}`;
}

/** The kit's half sentences, as sentences. */
export function sentence(said: string): string {
  if (said === "") return "";
  const text = said.charAt(0).toUpperCase() + said.slice(1);
  return /[.!?]$/u.test(text) ? text : `${text}.`;
}

/** A void that the terminal did not carry out: its words, or null. */
export function undoFailure(order: Order): string | null {
  if (order.state !== "paid" && order.state !== "part_refunded") return null;
  const stands = (payment: Payment) => payment.tender === "card" && ["captured", "at_risk"].includes(payment.state);
  const still = order.payments.find((payment) => stands(payment) && payment.said !== null);
  return still?.said ?? null;
}

const LINK_WORDS: Record<Device["link"], string> = { ready: "ready", up: "has not answered yet", down: "no contact" };

export function linkWords(device: Device): string {
  return LINK_WORDS[device.link];
}

/** What the crew calls it; a terminal that nobody has named is just the terminal. */
export function deviceName(device: Device): string {
  return device.label === "terminal" ? "the terminal" : device.label;
}

/** Why no card can be charged there now, or null. */
export function cannotCharge(device: Device | null): string | null {
  if (device === null) return "This kit has no card terminal.";
  if (device.link !== "down") return null;
  const why = device.trouble === null ? "" : ` ${sentence(device.trouble)}`;
  return `No contact with ${deviceName(device)}.${why}`;
}
