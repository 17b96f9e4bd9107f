// After a reload: every write that was under way is asked for again with its own key, and its outcome is said; a page
// that was opened anew comes back to the order that waited for its payment.
import { read, Refused } from "./api.ts";
import { checkout } from "./checkout.svelte.ts";
import { waiting } from "./collect.svelte.ts";
import { route } from "./route.svelte.ts";
import { say } from "./say.svelte.ts";
import type { Order } from "./types.ts";
import { kit } from "./updates.svelte.ts";
import { pendingWrites, Writer, type Pending } from "./writer.svelte.ts";

export function resumeWrites(): void {
  for (const pending of pendingWrites()) {
    if (pending.slot === "order") void checkout.resume(pending);
    else void resumeOne(pending);
  }
}

/** Only where the address says nothing: who is somewhere else on the page stays there, with a line that leads back. */
export async function resumeOrder(): Promise<void> {
  const id = waiting.get();
  if (id === null || location.hash !== "" || pendingWrites().length > 0) return;
  try {
    const order = await read<Order>(`/orders/${encodeURIComponent(id)}`);
    if (order.state !== "awaiting_payment") waiting.clear(id);
    else if (location.hash === "") route.go("orders", id);
  } catch (error) {
    if (error instanceof Refused) waiting.clear(id);
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
