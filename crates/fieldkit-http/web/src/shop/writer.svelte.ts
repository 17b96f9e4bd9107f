// One write at a time, asked until its outcome is known.
// Promises: the key and the exact body are kept in the tab BEFORE the request leaves; a lost answer is asked for again
// with the same key; a refusal drops the key; success is only ever the daemon's own reply.
import { NotKnown, Refused, write, type WriteRequest } from "./api.ts";
import { forget, keep, kept } from "./keep.ts";
import { nextKey } from "./keys.ts";
import type { Problem } from "./types.ts";

export type Phase = "idle" | "asking" | "not_known" | "stopped";

export interface Pending {
  slot: string;
  label: string;
  request: WriteRequest;
}

const PENDING = "fieldkit.pending.";
const BACKOFF_MS = [400, 800, 1_500, 3_000, 5_000];

/** Woken by the update stream when the kit answers again, so that nobody waits out a backoff. */
const waiting = new Set<() => void>();
export function wakeWriters(): void {
  for (const wake of [...waiting]) wake();
}

export class Writer<T> {
  phase = $state<Phase>("idle");
  problem = $state<Problem | null>(null);
  attempts = $state(0);
  #pending: Pending | null = null;
  #wake: (() => void) | null = null;

  /** `slot` says what kind of write is kept; the key makes its place unique. */
  constructor(private readonly slot: string) {}

  get busy(): boolean {
    return this.phase !== "idle";
  }

  /** The reply, or null when it was refused (see `problem`) or is already under way. */
  async run(label: string, method: "POST" | "PATCH", path: string, body: unknown): Promise<T | null> {
    if (this.busy) return null;
    const text = JSON.stringify(body);
    return this.#begin({
      slot: this.slot,
      label,
      request: { method, path, body: text, content_type: "application/json", key: nextKey() },
    });
  }

  async runCsv(label: string, path: string, csv: string): Promise<T | null> {
    if (this.busy) return null;
    return this.#begin({
      slot: this.slot,
      label,
      request: { method: "POST", path, body: csv, content_type: "text/csv", key: nextKey() },
    });
  }

  /** After a reload: repeats what was under way (see `pendingWrites`), with its own key. */
  async resume(pending: Pending): Promise<T | null> {
    if (this.busy) return null;
    return this.#begin(pending);
  }

  /** After `stop`: asks for the same outcome again. */
  async again(): Promise<T | null> {
    if (this.phase === "not_known") {
      this.#wake?.();
      return null;
    }
    if (this.phase !== "stopped" || this.#pending === null) return null;
    return this.#ask(this.#pending);
  }

  /** Stops asking; the write stays "not known" and keeps its key. */
  stop(): void {
    if (this.phase !== "not_known") return;
    this.phase = "stopped";
    this.#wake?.();
  }

  /** The operator looked for themselves and goes on: the key is dropped. */
  giveUp(): void {
    this.#forget();
    this.phase = "idle";
    this.problem = null;
    this.#wake?.();
  }

  clearProblem(): void {
    this.problem = null;
  }

  async #begin(pending: Pending): Promise<T | null> {
    this.#pending = pending;
    this.attempts = 0;
    keep(sessionStorage, placeOf(pending), pending);
    return this.#ask(pending);
  }

  async #ask(pending: Pending): Promise<T | null> {
    this.problem = null;
    this.phase = "asking";
    for (;;) {
      this.attempts += 1;
      try {
        const reply = await write<T>(pending.request);
        this.#forget();
        this.phase = "idle";
        this.problem = null;
        return reply;
      } catch (error) {
        if (error instanceof Refused) {
          this.#forget();
          this.problem = error.problem;
          this.phase = "idle";
          return null;
        }
        this.problem = error instanceof NotKnown ? error.problem : null;
      }
      this.phase = "not_known";
      await this.#pause();
      // The phase may have been changed by the operator during the pause.
      if ((this.phase as Phase) !== "not_known") return null;
    }
  }

  #pause(): Promise<void> {
    const longest = BACKOFF_MS[Math.min(this.attempts, BACKOFF_MS.length) - 1] ?? 5_000;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        waiting.delete(done);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(done, longest * (0.75 + Math.random() * 0.5));
      waiting.add(done);
      this.#wake = done;
    });
  }

  #forget(): void {
    if (this.#pending !== null) forget(sessionStorage, placeOf(this.#pending));
    this.#pending = null;
  }
}

function placeOf(pending: Pending): string {
  return PENDING + pending.request.key;
}

/** The writes that were under way when the page went away. */
export function pendingWrites(): Pending[] {
  const names = Array.from({ length: sessionStorage.length }, (_, at) => sessionStorage.key(at) ?? "");
  return names
    .filter((name) => name.startsWith(PENDING))
    .map((name) => kept<Pending>(sessionStorage, name))
    .filter((pending) => pending !== null);
}
