// Waiting for a state with a deadline.
// Promises: a state that never comes is an error that names it and what was seen last; nothing here repeats an action.
import { setTimeout as pause } from "node:timers/promises";

const LOOK_EVERY_MS = 20;
export const STATE_MS_MAX = 20_000;

/** Resolves with the first value of `look` that is not undefined, null or false. */
export async function until(what, look, ms_max = STATE_MS_MAX) {
  const end = performance.now() + ms_max;
  let seen;
  for (;;) {
    try {
      seen = await look();
      if (seen !== undefined && seen !== null && seen !== false) return seen;
    } catch (error) {
      seen = error;
    }
    if (performance.now() > end) throw new Error(`not within ${ms_max} ms: ${what}; last seen: ${seen}`);
    await pause(LOOK_EVERY_MS);
  }
}

/** Waits until `read` gives `wanted`, and says both where it never does. */
export async function untilEqual(what, read, wanted, ms_max = STATE_MS_MAX) {
  let last;
  try {
    await until(what, async () => ((last = await read()), JSON.stringify(last) === JSON.stringify(wanted)), ms_max);
  } catch {
    throw new Error(`not within ${ms_max} ms: ${what}\n  wanted: ${JSON.stringify(wanted)}\n  seen:   ${JSON.stringify(last)}`);
  }
}
