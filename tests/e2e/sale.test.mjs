// Selling at the till: change, discounts, open prices, and keys pressed too often.
import assert from "node:assert/strict";
import { GOODS, stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";
import { until } from "./lib/wait.mjs";

stall("a sale with change: receipt, order and stock say the same", async ({ kit, till }) => {
  await till.shows("here-MUG", "20 left");
  await till.add("MUG", 2);
  await till.add("TEE-M");
  await till.shows("total", euros(5000));
  await till.give("100");
  await till.shows("change", euros(5000));
  const receipt = await till.pay();
  await till.shows("change", euros(5000));
  await till.shows("receipt-state", "Paid");
  const [order, ...others] = kit.orders();
  assert.equal(others.length, 0);
  assert.equal(receipt, `${order.series}-1`);
  assert.equal(order.total.minor, 5000);
  assert.equal(order.change.minor, 5000);
  assert.equal(order.payments[0].tendered.minor, 10_000);
  assert.deepEqual(order.lines.map((line) => [line.sku, line.quantity]), [["MUG", 2], ["TEE-M", 1]]);
  assert.equal(kit.item("MUG").here, 18);
  await till.newSale();
  await till.shows("here-MUG", "18 left");
});

stall("exact cash, one press", async ({ kit, till }) => {
  await till.add("PIN");
  await till.id("cash-exact").click();
  await till.pay();
  assert.equal(kit.orders()[0].change.minor, 0);
});

stall("two items, a line discount and an order discount, each with its reason", async ({ kit, till }) => {
  await till.add("MUG", 3);
  await till.add("TEE-M");
  await till.discount("line-discount-MUG", "10", "Damaged");
  await till.discount("order-discount", "7.5", "Friend of the stall");
  const shown = await till.text("total");
  await till.id("cash-exact").click();
  await till.pay();
  const [order] = kit.orders();
  assert.equal(shown, euros(order.total.minor), "the buyer saw the total that was recorded");
  // 3 × 12.50 less 10 % is 33.75; with 25.00 it is 58.75; less 7.5 % (4.41) it is 54.34.
  assert.equal(order.total.minor, 5434);
  assert.equal(order.discount.minor, 441);
  assert.equal(order.discount_reason, "Friend of the stall");
  const mug = order.lines.find((line) => line.sku === "MUG");
  assert.equal(mug.discount_reason, "Damaged");
  const taxes = order.taxes.reduce((sum, tax) => sum + tax.net.minor + tax.tax.minor, 0);
  assert.equal(taxes, order.total.minor, "net and tax add up to the total");
});

stall("an item of open price asks for it", { items: [...GOODS, ["BOOK", "--name", "Old book", "--price", "0", "--open-price", "true", "--count", "5"]] }, async ({ kit, till }) => {
  await till.id("item-BOOK").click();
  await till.id("open-price").fill("3,40");
  await till.id("open-price-add").click();
  await till.id("item-BOOK").click();
  await till.id("open-price").fill("5");
  await till.id("open-price-add").click();
  await till.shows("total", euros(840));
  await till.give("10");
  await till.pay();
  const [order] = kit.orders();
  assert.deepEqual(order.lines.map((line) => line.unit_price.minor), [340, 500]);
  assert.equal(order.change.minor, 160);
});

stall("double click and a storm of Enter make one order", async ({ kit, till }) => {
  await till.add("MUG");
  await till.give("20");
  await till.id("pay").dblclick();
  await till.receipt();
  assert.equal(kit.orders().length, 1);
  await till.newSale();
  await till.add("MUG");
  await till.give("20");
  await till.id("cash-given").focus();
  const storm = Array.from({ length: 12 }, () => till.page.keyboard.press("Enter"));
  await Promise.all(storm);
  await till.receipt();
  assert.equal(kit.orders().length, 2);
  assert.equal(await till.text("change"), euros(750), "the storm did not sweep the change from the screen");
  await till.page.keyboard.down("Enter");
  await till.page.keyboard.down("Enter");
  await till.page.keyboard.up("Enter");
  assert.equal(kit.orders().length, 2);
});

stall("change beyond the largest note is asked about once", async ({ kit, till }) => {
  await till.add("PIN");
  await till.give("5000");
  await till.id("pay").click();
  await till.page.getByText("more than the largest note").waitFor();
  await till.id("pay").click();
  assert.equal(kit.orders().length, 0, "a bounce is no answer");
  await till.settle(900);
  await till.pay();
  assert.equal(kit.orders()[0].change.minor, 499_500);
});

stall("less than the total is not taken", async ({ kit, till }) => {
  await till.add("MUG");
  await till.give("12.49");
  await till.id("pay").click();
  await till.page.getByText("That is less than the total.").waitFor();
  await till.give("12.4x");
  await till.id("pay").click();
  await until("a word on the amount", () => till.page.getByText("not an amount").first().isVisible());
  assert.equal(kit.orders().length, 0);
  await till.id("clear-cart").click();
  await till.id("undo").click();
  await till.shows("total", euros(1250));
});
