// The daemon killed in the middle of a sale, and the data directory put back to an older copy.
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";
import { until } from "./lib/wait.mjs";

const ORDERS = "**/api/v1/orders";
/** A kit that is gone: the browser logs every request to it. */
const GONE = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED|ERR_FAILED|ERR_ABORTED/u;

stall("killed before the request came: the page asks again with its key, one order", async ({ kit, till }) => {
  till.allow(GONE);
  const keys = [];
  till.page.on("request", (request) => request.method() === "POST" && request.url().endsWith("/orders") && keys.push(request.headers()["idempotency-key"]));
  await till.add("MUG");
  await till.give("20");
  await kit.kill();
  await till.id("pay").click();
  await till.id("not-known").waitFor();
  await till.id("offline").waitFor();
  assert.equal(await till.id("pay").isDisabled(), true, "nothing to press while the outcome is not known");
  await kit.start();
  await till.receipt();
  assert.equal(kit.orders().length, 1);
  assert.equal(new Set(keys).size, 1);
  await till.id("offline").waitFor({ state: "detached" });
});

stall("killed after it recorded, before the page heard: one order", async ({ kit, till }) => {
  till.allow(GONE);
  const keys = [];
  await till.page.route(ORDERS, async (route) => {
    if (route.request().method() === "GET") return route.continue();
    keys.push(route.request().headers()["idempotency-key"]);
    if (keys.length > 1) return route.continue();
    await route.fetch();
    await kit.kill();
    await route.abort();
  });
  await till.add("MUG");
  await till.give("20");
  await till.id("pay").click();
  await till.id("not-known").waitFor();
  const replied = till.page.waitForResponse((reply) => reply.request().method() === "POST" && reply.url().endsWith("/orders"));
  await kit.start();
  assert.equal((await replied).headers()["idempotency-replayed"], "true");
  await till.receipt();
  await till.shows("change", euros(750));
  assert.equal(kit.orders().length, 1);
  assert.equal(new Set(keys).size, 1);
});

stall("killed at any moment of a request, page reloaded meanwhile: one order each", { timeout_ms: 120_000 }, async ({ kit, till }) => {
  till.allow(GONE);
  for (let sale = 1; sale <= 6; sale += 1) {
    await till.add("MUG");
    await till.give("20");
    const sent = till.page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/orders"));
    await till.id("pay").click({ noWaitAfter: true });
    await sent;
    await kit.kill();
    await kit.start();
    // The page comes from the kit itself, so it can only be reloaded once that is back.
    if (sale % 2 === 0) await till.page.reload();
    await till.receipt();
    assert.equal(kit.orders().length, sale);
    await till.newSale();
  }
  const numbers = kit.orders().map((order) => order.receipt);
  assert.deepEqual(numbers, [1, 2, 3, 4, 5, 6]);
});

stall("a power cut while nothing is sold is no failed start", async ({ kit, till }) => {
  till.allow(GONE);
  await kit.stop();
  // Two starts have failed fast; one more would be the third.
  writeFileSync(join(kit.data, "starts"), "2\n");
  await kit.start();
  await until("the count of failed starts ends", () => !existsSync(join(kit.data, "starts")), 15_000);
  await kit.kill();
  await kit.start();
  assert.equal((await kit.get("/status")).safe_mode, false);
  await till.id("offline").waitFor({ state: "detached" });
  await till.sell("MUG", "20");
  assert.equal(kit.orders().length, 1);
});

stall("an older copy of the data: the page is the witness, a new series begins, sales go on", { agrees: false }, async ({ kit, till }) => {
  till.allow(GONE);
  const first = await till.sell("MUG", "20");
  await till.newSale();
  await kit.stop();
  const copy = kit.keepCopy();
  await kit.start();
  await till.id("offline").waitFor({ state: "detached" });
  const lost = await till.sell("MUG", "20");
  assert.equal(lost.split("-")[0], first.split("-")[0]);
  await till.newSale();
  const before = await kit.get("/status");
  await until("the page has kept the newest head", () =>
    till.page.evaluate((seq) => JSON.parse(localStorage.getItem("fieldkit.head") ?? "{}").seq >= seq, before.head.seq));
  await kit.stop();
  kit.putBack(copy);
  await kit.start();
  const after = await until("a new replica", async () => {
    const status = await kit.get("/status");
    return status.replica !== before.replica && status;
  });
  assert.ok(after.notices.some((notice) => notice.code === "rolled_back"), "a notice says what happened");
  await until("the notice on the page", () => till.page.getByText("went back in time").isVisible());
  const next = await till.sell("MUG", "20");
  assert.notEqual(next.split("-")[0], first.split("-")[0], "a new series");
  assert.equal(next.split("-")[1], "1");
  const orders = kit.orders();
  assert.deepEqual(orders.map((order) => `${order.series}-${order.receipt}`), [first, next]);
  // The same again must not make yet another replica: the page now watches the new record.
  await till.newSale();
  await kit.stop();
  await kit.start();
  await till.id("offline").waitFor({ state: "detached" });
  await till.sell("MUG", "20");
  assert.equal((await kit.get("/status")).replica, after.replica);
});
