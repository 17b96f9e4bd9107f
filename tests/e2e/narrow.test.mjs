// A phone of 360 × 740 points: the whole flow, nothing wider than the screen.
import assert from "node:assert/strict";
import { GOODS, stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";

const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
const LONG = ["LONG-1", "--name", "Hand-dyed merino sock yarn, fingering weight, 100 g, colourway Midnight over the harbour", "--price", "1234.50", "--count", "3"];

stall("sale, refund, drawer, stock, event on a phone", { context: PHONE, items: [...GOODS, LONG] }, async ({ kit, till }) => {
  const { fits, tap } = {
    fits: (where) => till.fits(where),
    tap: (name) => till.id(name).tap(),
  };
  await fits("goods");
  await tap("item-MUG");
  await tap("item-MUG");
  await tap("item-LONG-1");
  await tap("cart-open");
  await fits("cart");
  await tap("line-discount-LONG-1");
  await fits("discount");
  await till.id("discount-value").fill("10");
  await till.id("discount-reason").fill("Damaged at the corner, seen by the buyer and agreed");
  await tap("discount-apply");
  await tap("qty-minus-MUG");
  await till.shows("total", euros(1250 + 111_105));
  await till.give("1200");
  await fits("payment");
  await tap("pay");
  await till.receipt();
  await fits("receipt");
  assert.equal(kit.orders()[0].total.minor, 112_355);

  await tap("refund");
  await fits("refund");
  await till.id("refund-qty-1").fill("1");
  await till.id("refund-reason").fill("Wrong colour");
  await tap("refund-confirm");
  await till.shows("receipt-state", "Partly refunded");
  await fits("refunded receipt");
  await till.settle();
  await tap("new-sale");
  await till.shows("here-LONG-1", "2 left");

  await tap("nav-drawer");
  await till.id("drawer-open-amount").fill("100");
  await tap("drawer-open");
  await till.shows("drawer-state", "Open");
  await fits("drawer");
  await tap("nav-stock");
  await fits("stock");
  await tap("stock-edit-LONG-1");
  await fits("stock, changing");
  await till.page.keyboard.press("Escape");
  await tap("stock-count-MUG");
  await fits("counting");
  await till.id("count-value").fill("19");
  await tap("count-save");
  await tap("new-item");
  await fits("new goods");
  await till.page.keyboard.press("Escape");
  await tap("nav-event");
  await fits("event");
  await tap("event-new");
  await fits("new event");
  await tap("nav-orders");
  await fits("orders");
});
