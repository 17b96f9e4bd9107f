// Practice cannot be taken for the real till, on the page, on the receipt and on the command line.
import assert from "node:assert/strict";
import { GOODS, stall } from "./lib/stall.mjs";

/** The colour of a key to press, which no training may share with the real till. */
async function colour(till) {
  return till.id("pay").evaluate((key) => getComputedStyle(key).backgroundColor);
}

stall("training is marked everywhere, the real till nowhere", { items: GOODS }, async ({ kit, till }) => {
  const real = await colour(till);
  assert.equal(await till.id("training").count(), 0);
  await till.sell("MUG", "20");
  assert.equal(await till.id("receipt-training").count(), 0);
  await till.newSale();
  kit.run(["event", "create", "--name", "Practice", "--training", "--clone"]);
  await till.shows("event-name", "Practice");
  await till.holds("training", "TRAINING");
  assert.notEqual(await colour(till), real);
  assert.match(await till.page.title(), /TRAINING/u);
  await till.sell("TEE-M", "30");
  await till.holds("receipt-training", "TRAINING");
  await till.page.emulateMedia({ media: "print" });
  assert.equal(await till.id("receipt-training").isVisible(), true, "on paper too");
  await till.page.emulateMedia({ media: "screen" });

  const [sale, practice] = kit.orders();
  assert.deepEqual([sale.training, practice.training], [false, true]);
  const listed = kit.run(["orders"]).stdout.split("\n");
  assert.equal(listed.filter((line) => line.includes("TRAINING")).length, 1);
  assert.match(listed.find((line) => line.includes("TRAINING")), /25\.00/u);
  assert.match(kit.run(["sell", "--line", "MUG=1", "--tender", "cash=20"]).stdout, /^TRAINING/mu);
  assert.match(kit.run(["orders", practice.order_id]).stdout, /^TRAINING/mu);
  assert.doesNotMatch(kit.run(["orders", sale.order_id]).stdout, /TRAINING/u);
  assert.match(kit.run(["verify", "--receipt", practice.receipt_token]).stdout, /genuine: .*TRAINING/u);
  assert.match(kit.run(["status"]).stdout, /TRAINING/u);
  assert.match(kit.run(["event", "list"]).stdout, /Practice.*TRAINING/u);
});
