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
