// After a reload: every write that was under way is asked for again with its own key, and its outcome is said.
import { checkout } from "./checkout.svelte.ts";
import { say } from "./say.svelte.ts";
import { kit } from "./updates.svelte.ts";
import { pendingSlots, Writer } from "./writer.svelte.ts";

export function resumeWrites(): void {
  for (const { slot, label } of pendingSlots()) {
    if (slot === "order") void checkout.resume();
    else void resumeOne(slot, label);
  }
}

async function resumeOne(slot: string, label: string): Promise<void> {
  const writer = new Writer<unknown>(slot);
  const reply = await writer.resume();
  if (reply !== null) {
    say.good(`Finished after the reload: ${label}.`);
    await kit.refresh();
  } else if (writer.problem !== null) {
    say.warn(`${label}: ${writer.problem.detail} ${writer.problem.touched}`);
  }
}
