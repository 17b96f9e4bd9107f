// Events and catalogue files by the page.
import assert from "node:assert/strict";
import { GOODS, stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";
import { until } from "./lib/wait.mjs";

stall("an event made at the till takes the goods over and sells", async ({ kit, till }) => {
  await till.sell("MUG", "20");
  await till.newSale();
  await till.view("event");
  await till.id("event-new").click();
  await till.id("event-form-name").fill("Night market, Friday");
  await till.id("event-form-seller").fill("Corner Stall Ltd");
  await till.id("event-form-tax-0").fill("7");
  await till.id("event-create").click();
  await till.shows("event-name", "Night market, Friday");
  const events = kit.json(["event", "list"]);
  assert.equal(events.length, 2);
  const made = events.find((event) => event.name === "Night market, Friday");
  assert.equal(made.seller.name, "Corner Stall Ltd");
  assert.equal(made.tax_rates[0].ppm, 70_000);
  await till.view("sell");
  await till.sell("TEE-M", "30");
  const order = kit.orders().find((each) => each.event_name === made.name);
  assert.equal(order.total.minor, 2500);
  assert.equal(order.taxes[0].ppm, 70_000);
  assert.equal(kit.item("TEE-M").sold, 1);
});

stall("a closed event sells no more; the page says so and offers a new one", { agrees: false }, async ({ kit, till, open }) => {
  const other = await open();
  await other.add("MUG");
  await other.id("cash-exact").click();
  const held = await other.hold("**/api/v1/orders");
  await other.id("pay").click();
  await until("the request", () => held.keys.length === 1);
  await till.view("event");
  await till.id("event-close").click();
  await till.id("event-close-confirm").click();
  await till.page.getByText("is closed").waitFor();
  other.allow(/409|422/u);
  held.let_go();
  await other.page.reload();
  await other.id("problem").waitFor();
  const words = (await other.text("problem")).split("\n").filter((line) => line.trim() !== "");
  assert.ok(words.length >= 3, `what happened, what was touched, the next step: ${words}`);
  assert.equal(kit.json(["event", "list"])[0].state, "closed");
});

stall("closing an event says where sales go then; another one is chosen by a press", async ({ kit, till }) => {
  kit.run(["event", "create", "--name", "Night market", "--clone"]);
  await till.shows("event-name", "Night market");
  await till.view("event");
  await till.id("event-close").click();
  await till.page.getByText("Sales then go to Corner Stall").waitFor();
  await till.id("event-close-confirm").click();
  await till.page.getByText("Night market is closed. Sales go to Corner Stall now.").waitFor();
  await till.page.getByText("Night market is closed; sales go to Corner Stall now.").waitFor();
  assert.match(kit.run(["status"]).stdout, /^event +Corner Stall \([^]*sales go to Corner Stall now/mu);
  kit.run(["event", "create", "--name", "Fair", "--clone"]);
  await till.shows("event-name", "Fair");
  await till.id("event-open-Corner Stall").click();
  await till.shows("event-name", "Corner Stall");
  kit.run(["event", "create", "--name", "Twice"]);
  kit.run(["event", "create", "--name", "twice"]);
  const which = kit.run(["event", "open", "TWICE"], { wanted: 1 });
  assert.match(which.stderr, /2 events are called "TWICE": \S+ \(open, since [^]*hint: Say which by its id/u);
  for (const event of kit.json(["event", "list"]).filter((each) => /twice/iu.test(each.name))) kit.run(["event", "close", event.event_id]);
  kit.run(["event", "open", "corner stall"]);
  const closed = kit.run(["event", "close"]);
  assert.match(closed.stdout, /Corner Stall is closed[^]*sales go to Fair now/u);
  await till.shows("event-name", "Fair");
  const last = kit.run(["event", "close"]);
  assert.match(last.stdout, /no event is open now/u);
});

const CSV = `Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Inventory Policy,Variant Price
honey,Forest Honey,Title,Default Title,HONEY,16,deny,7.50
cap,Wool Cap,Size,S,CAP-S,3,deny,22.00
cap,,,L,CAP-L,4,deny,22.00
broken,Broken Price,Title,Default Title,BROKEN,1,deny,twelve
`;

stall("a catalogue file by the file picker, one product rejected", { items: GOODS }, async ({ kit, till }) => {
  await till.view("stock");
  await till.id("import-file").setInputFiles({ name: "goods.csv", mimeType: "text/csv", buffer: Buffer.from(CSV) });
  const result = till.id("import-result");
  await result.getByText("These lines were not taken").waitFor();
  const numbers = await result.locator("dd").allInnerTexts();
  assert.deepEqual(numbers, ["3", "0", "0", "1"]);
  assert.match(await result.innerText(), /Line 5/u);
  await result.getByRole("button", { name: "Done" }).click();
  assert.equal(kit.item("CAP-L").here, 4);
  assert.equal(kit.item("BROKEN"), undefined);
  await till.view("sell");
  await till.sell("HONEY", "10");
  assert.equal(kit.orders()[0].total.minor, 750);

  await till.view("stock");
  await till.id("import-file").setInputFiles({ name: "goods.csv", mimeType: "text/csv", buffer: Buffer.from(CSV) });
  await result.getByText("These lines were not taken").waitFor();
  assert.deepEqual(await result.locator("dd").allInnerTexts(), ["0", "0", "3", "1"], "the same file changes nothing");
  assert.equal(kit.item("HONEY").here, 15, "nor the count after a sale");
  await result.getByRole("button", { name: "Done" }).click();
});

stall("a new item typed in, counted, and its price changed", async ({ kit, till }) => {
  await till.view("stock");
  await till.id("new-item").click();
  await till.id("new-name").fill("Beeswax Candle");
  await till.id("new-sku").fill("CANDLE 1/2");
  await till.id("new-price").fill("9,80");
  await till.id("new-count").fill("4");
  await till.id("new-save").click();
  await till.page.getByText("is ready to sell").waitFor();
  await till.page.keyboard.press("Escape");
  await till.id("stock-count-CANDLE 1/2").click();
  await till.id("count-reason").selectOption("delivered");
  await till.id("count-value").fill("10");
  await till.id("count-save").click();
  await until("the delivery", () => kit.item("CANDLE 1/2").here === 14);
  await till.id("stock-edit-CANDLE 1/2").click();
  await till.id("stock-price").fill("10");
  await till.id("stock-save").click();
  await until("the price", () => kit.item("CANDLE 1/2").price.minor === 1000);
  await till.view("sell");
  await till.add("CANDLE 1/2", 2);
  await till.shows("total", euros(2000));
  await till.id("cash-exact").click();
  await till.pay();
  assert.equal(kit.item("CANDLE 1/2").here, 12);
});
