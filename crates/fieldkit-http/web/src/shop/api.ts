// The one door to the daemon.
// Promises: a reply is a value, a typed refusal (`Refused`: nothing more to ask) or `NotKnown` (ask again with the
// same key). Nothing here retries and nothing here invents an outcome.
import type { Problem } from "./types.ts";

const BASE = "/api/v1";
const READ_TIMEOUT_MS = 8_000;
const WRITE_TIMEOUT_MS = 15_000;

/** The daemon said no, in words. */
export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** No usable answer: the write may or may not have happened. */
export class NotKnown extends Error {
  constructor(readonly problem: Problem | null) {
    super(problem?.detail ?? "The kit did not answer.");
  }
}

export interface WriteRequest {
  method: "POST" | "PATCH";
  path: string;
  /** The exact text that is sent, so that a repeat is the same to the byte. */
  body: string;
  content_type: "application/json" | "text/csv";
  key: string;
}

/** Called after every answer of the daemon, whatever it says: it is alive. */
export const answer: { heard: () => void } = { heard: () => {} };

export async function read<T>(path: string): Promise<T> {
  const reply = await ask(path, { headers: { Accept: "application/json" } }, READ_TIMEOUT_MS);
  if (reply.ok) return parsed<T>(reply);
  throw await failure(reply);
}

export async function write<T>(request: WriteRequest): Promise<T> {
  const reply = await ask(
    request.path,
    {
      method: request.method,
      headers: {
        Accept: "application/json",
        "Content-Type": request.content_type,
        "Idempotency-Key": request.key,
      },
      body: request.body,
    },
    WRITE_TIMEOUT_MS,
  );
  if (reply.ok) return parsed<T>(reply);
  throw await failure(reply);
}

/** A wish that nothing records; told twice, it is the same wish. */
export async function tell(path: string): Promise<void> {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  const reply = await ask(path, { method: "POST", headers, body: "{}" }, READ_TIMEOUT_MS);
  if (!reply.ok) throw await failure(reply);
}

export function receiptImage(orderId: string): string {
  return `${BASE}/orders/${encodeURIComponent(orderId)}/receipt.svg`;
}

export const updatesAddress = `${BASE}/updates`;

async function ask(path: string, init: RequestInit, timeout_ms: number): Promise<Response> {
  try {
    const reply = await fetch(BASE + path, {
      ...init,
      cache: "no-store",
      credentials: "same-origin",
      signal: AbortSignal.timeout(timeout_ms),
    });
    answer.heard();
    return reply;
  } catch {
    throw new NotKnown(null);
  }
}

async function parsed<T>(reply: Response): Promise<T> {
  try {
    return (await reply.json()) as T;
  } catch {
    // A body cut short: the daemon did something, but what it said is lost.
    throw new NotKnown(null);
  }
}

async function failure(reply: Response): Promise<Refused | NotKnown> {
  const problem = await problemOf(reply);
  const final = reply.status >= 400 && reply.status < 500 && ![408, 425, 429].includes(reply.status);
  return final ? new Refused(problem) : new NotKnown(problem);
}

async function problemOf(reply: Response): Promise<Problem> {
  let said: Partial<Record<keyof Problem, unknown>> = {};
  try {
    said = (await reply.json()) as typeof said;
  } catch {
    // Not a problem document; the status is all there is.
  }
  const word = (value: unknown, otherwise: string) => (typeof value === "string" && value !== "" ? value : otherwise);
  return {
    title: word(said.title, "The kit said no"),
    status: reply.status,
    code: word(said.code, `http_${reply.status}`),
    detail: word(said.detail, `The kit answered with status ${reply.status} and no explanation.`),
    touched: word(said.touched, "The kit did not say whether money or stock moved."),
    next_step: word(said.next_step, "Look at Orders before you try again."),
  };
}
