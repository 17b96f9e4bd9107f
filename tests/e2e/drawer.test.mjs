// The drawer: opened, cash in and out, sales and refunds in between, counted blind with a difference.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";

stall("opened, moved, counted with a variance", async ({ kit, till }) => {
  await till.view("drawer");
  await till.id("drawer-open-amount").fill("100");
  await till.id("drawer-open").click();
  await till.shows("drawer-state", "Open");
  await till.id("move-amount").fill("50");
  await till.id("move-reason").fill("Change fetched");
  await till.id("move-in").click();
  await till.page.getByText("Change fetched", { exact: true }).waitFor();
  await till.id("move-amount").fill("20,50");
  await till.id("move-reason").fill("Supplier paid");
  await till.id("move-out").click();
  await till.page.getByText("Supplier paid", { exact: true }).waitFor();
  await till.view("sell");
  await till.sell("MUG", "20");
  const drawer = kit.drawer();
  assert.deepEqual(drawer.movements.map((move) => [move.direction, move.amount.minor, move.reason]), [
    ["in", 5000, "Change fetched"],
    ["out", 2050, "Supplier paid"],
  ]);
  assert.equal(drawer.expected.minor, 10_000 + 5000 - 2050 + 1250);

  await till.view("drawer");
  await till.id("drawer-count-amount").fill("140");
  await till.id("drawer-count").click();
  await till.holds("drawer-variance", `Missing: ${euros(200)}`);
  assert.equal(kit.drawer().state, "open", "a difference is said before the count is recorded");
  await till.id("drawer-note").fill("Two euros for the parking meter");
  await till.id("drawer-count").click();
  await till.shows("drawer-state", "Closed");
  await till.shows("drawer-variance", euros(200));
  const counted = kit.drawer();
  assert.equal(counted.last_count.counted.minor, 14_000);
  assert.equal(counted.last_count.variance.minor, -200);
  assert.equal(counted.last_count.note, "Two euros for the parking meter");
});

stall("a count that matches needs no note", async ({ kit, till }) => {
  await till.view("drawer");
  await till.id("drawer-open-amount").fill("80");
  await till.id("drawer-open").click();
  await till.shows("drawer-state", "Open");
  await till.view("sell");
  await till.sell("TEE-M", "30");
  await till.view("drawer");
  await till.id("drawer-count-amount").fill("105");
  await till.id("drawer-count").click();
  await till.shows("drawer-state", "Closed");
  assert.equal(kit.drawer().last_count.variance.minor, 0);
});

stall("an event is not closed over an open drawer; one left open elsewhere is counted on the page", async ({ kit, till }) => {
  kit.run(["cash", "open", "100"]);
  await till.view("event");
  await till.id("event-close").click();
  await till.page.getByText("Count it first").waitFor();
  assert.equal(await till.id("event-close-confirm").isDisabled(), true);
  const refused = kit.run(["event", "close"], { wanted: 1 });
  assert.match(refused.stderr, /drawer of Corner Stall is open[^]*hint: Count the drawer first/u);
  await till.page.keyboard.press("Escape");
  kit.run(["event", "create", "--name", "Night market"]);
  await till.view("drawer");
  await till.id("drawer-count-amount-other").fill("99");
  await till.id("drawer-count-other").click();
  await till.holds("drawer-variance-other", "Missing");
  await till.id("drawer-note-other").fill("Parking meter");
  await till.id("drawer-count-other").click();
  await till.page.getByText("The drawer of Corner Stall is counted").waitFor();
  await till.id("drawer-count-other").waitFor({ state: "detached" });
  const drawer = kit.drawer();
  assert.deepEqual([drawer.event_name, drawer.state, drawer.uncounted], ["Night market", "closed", []]);
  kit.run(["event", "close", "Corner Stall"]);
});

stall("cash taken before the opening is shown apart and not expected", async ({ kit, till }) => {
  await till.sell("MUG", "20");
  await till.view("drawer");
  await till.holds("drawer-apart", euros(1250));
  await till.id("drawer-open-amount").fill("100");
  await till.id("drawer-open").click();
  await till.shows("drawer-state", "Open");
  await till.id("drawer-count-amount").fill("100");
  await till.id("drawer-count").click();
  await till.shows("drawer-state", "Closed");
  assert.equal(kit.drawer().last_count.variance.minor, 0);
  assert.match(kit.run(["cash", "show"]).stdout, /no drawer was open EUR 12\.50/u);
});
