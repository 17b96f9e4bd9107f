// Two tabs of one till: the last unit sold in both, counts that follow, a price that changes under a cart.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";

stall("two tabs sell the last unit at the same time", async ({ kit, till, open }) => {
  const other = await open();
  const watcher = await open();
  for (const each of [till, other]) {
    await each.add("PIN");
    await each.id("cash-exact").click();
  }
  await watcher.shows("here-PIN", "1 left");
  const receipts = await Promise.all([till.pay(), other.pay()]);
  const orders = kit.orders();
  assert.deepEqual(orders.map((order) => order.receipt), [1, 2]);
  assert.deepEqual([...receipts].sort(), orders.map((order) => `${order.series}-${order.receipt}`).sort());
  const [warning] = orders[1].warnings;
  assert.equal(warning, "Star Pin: sold 1 more than counted");
  const warned = receipts[0] === `${orders[1].series}-2` ? till : other;
  await warned.page.getByText(warning).waitFor();
  assert.equal(kit.item("PIN").here, -1);
  assert.equal(kit.item("PIN").sold, 2);
  await watcher.shows("here-PIN", "-1 left");
  const keys = await Promise.all([till, other].map((each) => each.page.evaluate(() => sessionStorage.getItem("fieldkit.client"))));
  assert.notEqual(keys[0], keys[1], "each tab names its requests differently");
});

stall("a sale shows at once in the other tab: counts, orders, drawer", async ({ till, open }) => {
  const other = await open();
  await other.view("orders");
  await till.sell("MUG", "20");
  await other.id("order-1").waitFor();
  await other.view("sell");
  await other.shows("here-MUG", "19 left");
});

stall("a price changed elsewhere reaches the cart with a word on it", async ({ kit, till, open }) => {
  await till.add("MUG");
  const other = await open();
  await other.view("stock");
  await other.id("stock-edit-MUG").click();
  await other.id("stock-price").fill("13.00");
  await other.id("stock-save").click();
  await till.shows("total", euros(1300));
  await till.holds("cart-line-MUG", `Price changed; it was ${euros(1250)}.`);
  await till.id("cash-exact").click();
  await till.pay();
  assert.equal(kit.orders()[0].total.minor, 1300);
});

stall("a price changed just before the payment: refused, and the new total shown", async ({ kit, till, open }) => {
  // This tab hears nothing: as if the change came in the moment between two of its reads.
  await till.page.route("**/api/v1/updates?*", (route) => route.abort());
  await till.page.route("**/api/v1/items", (route) => route.abort());
  till.allow(/ERR_FAILED.*(updates|items)/u);
  till.allow(/409.*orders/u);
  await till.page.reload();
  await till.ready();
  await till.page.unroute("**/api/v1/items");
  await till.page.evaluate(() => location.reload());
  await till.add("MUG");
  await till.give("12.50");
  const other = await open();
  await other.view("stock");
  await other.id("stock-edit-MUG").click();
  await other.id("stock-price").fill("13.00");
  await other.id("stock-save").click();
  await other.page.getByText("saved").waitFor();
  await till.shows("total", euros(1250));
  await till.id("pay").click();
  await till.id("problem").waitFor();
  assert.equal(await till.id("problem").getAttribute("data-code"), "total_differs");
  assert.equal(kit.orders().length, 0, "the buyer has not agreed to another total");
  await till.shows("total", euros(1300));
  await till.give("20");
  await till.shows("change", euros(700));
  await till.pay();
  assert.equal(kit.orders()[0].total.minor, 1300);
  await till.page.unroute("**/api/v1/updates?*");
});
