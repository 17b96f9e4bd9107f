// After a reload: every write that was under way is asked for again with its own key, and its outcome is said.
import { checkout } from "./checkout.svelte.ts";
import { say } from "./say.svelte.ts";
import { kit } from "./updates.svelte.ts";
import { pendingWrites, Writer, type Pending } from "./writer.svelte.ts";

export function resumeWrites(): void {
  for (const pending of pendingWrites()) {
    if (pending.slot === "order") void checkout.resume(pending);
    else void resumeOne(pending);
  }
}

async function resumeOne(pending: Pending): Promise<void> {
  const writer = new Writer<unknown>(pending.slot);
  const reply = await writer.resume(pending);
  if (reply !== null) {
    say.good(`Finished after the reload: ${pending.label}.`);
    await kit.refresh();
  } else if (writer.problem !== null) {
    say.warn(`${pending.label}: ${writer.problem.detail} ${writer.problem.touched}`);
  }
}
