// The page reloaded at every step of a sale: always exactly one order, never two, never none.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";
import { until } from "./lib/wait.mjs";

const ORDERS = "**/api/v1/orders";

stall("with goods in the cart", async ({ kit, till }) => {
  await till.add("MUG", 2);
  await till.discount("line-discount-MUG", "10", "Damaged");
  await till.page.reload();
  await till.shows("total", euros(2250));
  await till.id("cart-line-MUG").waitFor();
  await till.id("cash-exact").click();
  await till.pay();
  assert.deepEqual(kit.orders().map((order) => order.total.minor), [2250]);
});

stall("with the payment typed", async ({ kit, till }) => {
  await till.add("MUG");
  await till.give("20");
  await till.page.reload();
  await till.shows("change", euros(750));
  assert.equal(await till.id("cash-given").inputValue(), "20");
  await till.pay();
  assert.deepEqual(kit.orders().map((order) => order.change.minor), [750]);
});

stall("with the request on its way to the kit", async ({ kit, till }) => {
  const held = await till.hold(ORDERS);
  await till.add("MUG");
  await till.give("20");
  await till.id("pay").click();
  await until("the request", () => held.keys.length === 1);
  assert.equal(kit.orders().length, 0, "held back before the kit");
  held.let_go();
  const repeated = till.page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/orders"));
  await till.page.reload();
  assert.equal((await repeated).headers()["idempotency-key"], held.keys[0], "the repeat has the same key");
  await till.receipt();
  await till.shows("change", euros(750));
  assert.equal(kit.orders().length, 1);
});

stall("with the answer on its way back", async ({ kit, till }) => {
  const held = await till.hold(ORDERS, { answered: true });
  await till.add("MUG");
  await till.give("20");
  await till.id("pay").click();
  await until("the kit's answer", () => held.replies === 1);
  assert.equal(kit.orders().length, 1, "recorded, and the page does not know");
  held.let_go();
  const replied = till.page.waitForResponse((reply) => reply.request().method() === "POST" && reply.url().endsWith("/orders"));
  await till.page.reload();
  const reply = await replied;
  assert.equal(reply.request().headers()["idempotency-key"], held.keys[0]);
  assert.equal(reply.headers()["idempotency-replayed"], "true");
  await till.receipt();
  assert.equal(kit.orders().length, 1);
});

stall("again and again while the request is held", async ({ kit, till }) => {
  const held = await till.hold(ORDERS);
  await till.add("MUG");
  await till.id("cash-exact").click();
  await till.id("pay").click();
  for (let times = 1; times <= 4; times += 1) {
    await until(`request ${times}`, () => held.keys.length === times);
    await till.page.reload();
  }
  await until("the last request", () => held.keys.length === 5);
  assert.equal(new Set(held.keys).size, 1, "one key all along");
  held.let_go();
  await till.page.reload();
  await till.receipt();
  assert.equal(kit.orders().length, 1);
});

stall("on the receipt", async ({ kit, till }) => {
  const receipt = await till.sell("MUG", "20");
  await till.page.reload();
  assert.equal(await till.receipt(), receipt);
  await till.shows("change", euros(750));
  await till.newSale();
  await till.page.reload();
  await till.id("search").waitFor();
  assert.equal(await till.id("cart-line-MUG").count(), 0, "the cart is empty after the sale");
  assert.equal(kit.orders().length, 1);
});

stall("in the middle of a refund", async ({ kit, till }) => {
  await till.sell("MUG", "20");
  const held = await till.hold("**/refund", { answered: true });
  await till.id("refund").click();
  await till.id("refund-reason").fill("Wrong size");
  await till.id("refund-confirm").click();
  await until("the kit's answer", () => held.replies === 1);
  held.let_go();
  await till.page.reload();
  await till.page.getByText("Finished after the reload").waitFor();
  const [order] = kit.orders();
  assert.equal(order.refunds.length, 1);
  await till.shows("receipt-state", "Refunded");
});
