// This page as a witness: what it remembers of the kit's record, so that a kit that was put back is found out.
// Promises: what is held changes only by comparing first; it outlives the page and the browser. A kit that is alone
// asks for nothing of it.
import { updatesAddress, write } from "./api.ts";
import { keep, kept } from "./keep.ts";
import { nextKey } from "./keys.ts";
import type { Remember, WitnessVerdict } from "./types.ts";

const PAGE = "fieldkit.page";
const WATCH = "fieldkit.watch";
/** Streams remembered at once: one for each event of late. */
const STREAMS_MAX = 8;

interface Held {
  stream: string;
  seq: number;
  hash: string;
}

/** The name of this page, drawn by lot once for each browser: its tabs share what it remembers. */
export const page = kept<string>(localStorage, PAGE) ?? named();

function named(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const name = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  keep(localStorage, PAGE, name);
  return name;
}

export const followAddress = `${updatesAddress}?page=${page}`;

function held(): Held[] {
  return kept<Held[]>(localStorage, WATCH) ?? [];
}

/** Takes what the kit wants remembered, if this page holds what the kit takes it to hold, and says what it holds then. */
export async function remember(wanted: Remember): Promise<void> {
  if (wanted.page !== page) return;
  const all = held();
  const known = all.find((one) => one.stream === wanted.stream);
  const same = (known?.seq ?? 0) === wanted.from_seq && (known === undefined || known.hash === wanted.from_hash);
  if (same) {
    const next = { stream: wanted.stream, seq: wanted.seq, hash: wanted.hash };
    const rest = all.filter((one) => one.stream !== wanted.stream);
    if (!keep(localStorage, WATCH, [next, ...rest].slice(0, STREAMS_MAX))) return;
  }
  await report();
}

/** Tells the kit what this page holds. What the kit contradicts is told once and then let go: the kit is another from then on. */
export async function report(): Promise<void> {
  const all = held();
  const said: (Held | null)[] = all.length === 0 ? [null] : all;
  for (const one of said) {
    const verdict = await say(one);
    if (one !== null && verdict !== null && verdict !== "agrees") {
      keep(localStorage, WATCH, held().filter((other) => other.stream !== one.stream));
      await say(null);
    }
  }
}

async function say(one: Held | null): Promise<WitnessVerdict["verdict"] | null> {
  try {
    const body = JSON.stringify({ page, ...one });
    const reply = await write<WitnessVerdict>({ method: "POST", path: "/witness", body, content_type: "application/json", key: nextKey() });
    return reply.verdict;
  } catch {
    // Said again at the next reconnect.
    return null;
  }
}
