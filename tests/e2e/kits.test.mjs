// Limited goods that two kits share, on the till page: what is elsewhere and asked for, what is shut after a start and opens.
// Promises: a page that was open before opens limited goods by itself; a strange page needs the last slip.
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { Kit } from "./lib/kit.mjs";
import { stall } from "./lib/stall.mjs";
import { until } from "./lib/wait.mjs";

const PINS = [["PIN", "--name", "Star Pin", "--price", "5.00", "--count", "10", "--limit", "hard"]];

/** Lets another kit join the one that runs, which gives it `quantity` pins; what it knows then lies in a file. */
function joined(kit, quantity) {
  const home = dirname(kit.data);
  const other = new Kit(join(home, "other"), 0);
  const at = (name) => join(home, name);
  other.run(["join", "request", "--name", "kit B", "--out", at("b.join")]);
  kit.run(["join", "admit", at("b.join"), "--out", at("b.fkb")]);
  other.run(["join", "finish", at("b.fkb")]);
  kit.run(["rights", "grant", "PIN", String(quantity), "--to", "kit B", "--out", at("grant.fkb")]);
  other.run(["sync", "import", at("grant.fkb")]);
  return other;
}

const cash = (sku, minor) => ({ lines: [{ sku, quantity: 1 }], tenders: [{ kind: "cash", amount: { minor, currency: "EUR" } }] });

stall("a tile with none here names what others have, and one press asks for it", { items: PINS }, async ({ kit, till }) => {
  assert.equal(await till.id("shut").count(), 0, "a kit that is alone shows nothing of others");
  joined(kit, 10);
  await till.shows("here-PIN", "0 here, 10 elsewhere: ask");
  await till.id("item-PIN").click();
  await till.holds("ask", "10 at kit B");
  await till.id("ask-confirm").click();
  await until("the ask is recorded", async () => (await kit.get("/pools"))[0].asks.length === 1);
  assert.deepEqual((await kit.get("/pools"))[0].asks, [{ by: "kit 1", of: "kit B", quantity: 1 }]);
});

stall("limited goods of two kits open by a page that was open before", { items: PINS }, async ({ kit, till }) => {
  joined(kit, 4);
  till.allow(/Failed to load resource|ERR_/u);
  await until("the page remembers", () => till.page.evaluate(() => localStorage.getItem("fieldkit.watch") !== null));
  await kit.post("/orders", cash("PIN", 500));
  await kit.stop();
  await kit.start();
  const begun = Date.now();
  await until("limited goods sell again", async () => (await kit.get("/status")).shut === null, 5_000);
  console.log(`open again ${Date.now() - begun} ms after READY`);
  await kit.post("/orders", cash("PIN", 500));
  assert.equal(await till.id("shut").count(), 0);
});

stall("without a page that was open before, the last slip opens what nobody was given any of", { items: [...PINS, ["CAP", "--name", "Cap", "--price", "9.00", "--count", "3", "--limit", "hard"], ["MUG", "--name", "Mug", "--price", "3.00", "--count", "9"]] }, async ({ kit, till }) => {
  joined(kit, 4);
  till.allow(/Failed to load resource|ERR_/u);
  await until("the page remembers", () => till.page.evaluate(() => localStorage.getItem("fieldkit.watch") !== null));
  const order = await kit.post("/orders", cash("CAP", 900));
  await kit.stop();
  // Whoever cleans the browser's memory takes the witness away.
  await till.page.evaluate(() => localStorage.clear());
  await kit.start();
  await till.holds("shut", "Not sold yet: Cap (2), Star Pin (6).");
  await assert.rejects(kit.post("/orders", cash("CAP", 900)), /gate_shut/u);
  await kit.post("/orders", cash("MUG", 300));
  await till.id("shut-slip").fill(order.slip.slice(0, -1) + (order.slip.endsWith("A") ? "B" : "A"));
  await till.id("shut-open").click();
  await till.holds("problem", "has not written that slip");
  await till.id("shut-slip").fill(order.slip);
  await till.id("shut-open").click();
  await till.holds("shut", "Not sold yet: Star Pin (6).");
  await kit.post("/orders", cash("CAP", 900));
  await until("the page remembers again", () => till.page.evaluate(() => localStorage.getItem("fieldkit.watch") !== null));
  await assert.rejects(kit.post("/orders", cash("PIN", 500)), /at_rest/u);
});
