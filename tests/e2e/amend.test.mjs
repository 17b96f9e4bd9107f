// Giving back: a refund of a part, a void, and the way back from both.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";
import { untilEqual } from "./lib/wait.mjs";

stall("a part is refunded, the refund undone, and refunded again without the goods", async ({ kit, till }) => {
  await till.add("MUG", 3);
  await till.add("TEE-M");
  await till.discount("order-discount", "10", "Last hour");
  await till.id("cash-exact").click();
  await till.pay();
  const state = () => kit.orders()[0];
  assert.equal(kit.item("MUG").here, 17);

  await till.id("refund").click();
  await till.id("refund-qty-1").fill("1");
  await till.id("refund-reason").fill("Wrong colour");
  const offered = await till.text("refund-confirm");
  await till.id("refund-confirm").click();
  await till.shows("receipt-state", "Partly refunded");
  const [refund] = state().refunds;
  assert.equal(offered, `Give back ${euros(refund.amount.minor)} in cash`, "the sum said is the sum recorded");
  assert.deepEqual(refund.lines, [{ line: 1, quantity: 1 }]);
  assert.equal(kit.item("MUG").here, 18);

  await till.id("undo").click();
  await till.shows("receipt-state", "Paid");
  assert.equal(state().refunds[0].undone, true);
  assert.equal(kit.item("MUG").here, 17);

  await till.id("refund").click();
  await till.id("refund-all").click();
  await till.id("refund-reason").fill("Damaged");
  await till.id("refund-restock").uncheck();
  await till.id("refund-confirm").click();
  await till.shows("receipt-state", "Refunded");
  const refunds = state().refunds.filter((each) => !each.undone);
  assert.equal(refunds.reduce((sum, each) => sum + each.amount.minor, 0), state().total.minor);
  assert.equal(kit.item("MUG").here, 17, "damaged goods do not go back on sale");
});

stall("every piece refunded by itself gives back exactly the total", async ({ kit, till }) => {
  await till.add("MUG", 3);
  await till.discount("line-discount-MUG", "33.3333", "Bundle");
  await till.id("cash-exact").click();
  await till.pay();
  for (let piece = 1; piece <= 3; piece += 1) {
    await till.id("refund").click();
    await till.id("refund-qty-1").fill("1");
    await till.id("refund-reason").fill("Changed their mind");
    const offered = await till.text("refund-confirm");
    await till.id("refund-confirm").click();
    await untilEqual(`refund ${piece}`, () => kit.orders()[0].refunds.length, piece);
    const refund = kit.orders()[0].refunds.at(-1);
    assert.equal(offered, `Give back ${euros(refund.amount.minor)} in cash`);
    await till.id("refund-confirm").waitFor({ state: "detached" });
  }
  const [order] = kit.orders();
  assert.equal(order.refunds.reduce((sum, each) => sum + each.amount.minor, 0), order.total.minor);
  assert.equal(order.state, "refunded");
});

stall("a void takes the order back, its undo brings it again", async ({ kit, till }) => {
  await till.sell("PIN", "10");
  assert.equal(kit.item("PIN").here, 0);
  await till.id("void").click();
  await till.id("void-reason").fill("Typed wrongly");
  await till.id("void-confirm").click();
  await till.shows("receipt-state", "Voided");
  assert.equal(kit.orders()[0].state, "voided");
  assert.equal(kit.item("PIN").here, 1);
  const { receipt } = kit.orders()[0].refunds[0];
  await till.id(`undo-${receipt}`).click();
  await till.shows("receipt-state", "Paid");
  assert.equal(kit.orders()[0].state, "paid");
  assert.equal(kit.item("PIN").here, 0);
});

stall("the command line shows an order's refunds with the ids that take them back", async ({ kit, till }) => {
  await till.sell("MUG", "20");
  kit.run(["refund", "--order", "1", "--reason", "Chipped"]);
  const shown = kit.run(["orders", "1"]).stdout;
  const [, id] = /^refund \S+-2 EUR 12\.50 (\S+) {3}Chipped$/mu.exec(shown) ?? [];
  assert.equal(id, kit.orders()[0].refunds[0].refund_id, shown);
  kit.run(["refund", "--undo", id]);
  assert.match(kit.run(["orders", "1"]).stdout, /^refund .* \(undone\)/mu);
  assert.equal(kit.orders()[0].state, "paid");
});
