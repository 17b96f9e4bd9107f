// The arithmetic that the page and the daemon share.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cartTotal, divideRounded, refundShare, spread } from "../node_modules/.till-test/shop/totals.js";

const line = (unit_minor, quantity, tax_ppm = 190_000, discount = null) => ({ unit_minor, quantity, tax_ppm, discount });

test("half goes away from zero", () => {
  assert.equal(divideRounded(5n, 10n), 1n);
  assert.equal(divideRounded(-5n, 10n), -1n);
  assert.equal(divideRounded(4n, 10n), 0n);
  assert.equal(divideRounded(-14n, 10n), -1n);
});

test("inclusive tax is inside the line", () => {
  const total = cartTotal([line(1_190, 1)], null, "inclusive");
  assert.equal(total.total, 1_190);
  assert.equal(total.tax, 190);
});

test("exclusive tax is added per line", () => {
  const total = cartTotal([line(1_005, 1, 50_000), line(1_005, 1, 50_000)], null, "exclusive");
  assert.equal(total.tax, 100);
  assert.equal(total.total, 2_110);
});

test("a line discount is rounded and never above the line", () => {
  assert.equal(cartTotal([line(333, 1, 0, { ppm: 500_000 })], null, "inclusive").total, 166);
  assert.equal(cartTotal([line(333, 1, 0, { minor: 500 })], null, "inclusive").total, 0);
});

test("an order discount is spread to the last unit, ties to the lower line", () => {
  assert.deepEqual(spread(100n, [1n, 1n, 1n]), [34n, 33n, 33n]);
  assert.deepEqual(spread(10n, [0n, 0n]), [0n, 0n]);
  assert.deepEqual(spread(5n, [300n, 100n, 100n]), [3n, 1n, 1n]);
  const total = cartTotal([line(5_000, 1, 190_000, { ppm: 100_000 }), line(2_500, 1), line(700, 1, 70_000)], { minor: 333 }, "inclusive");
  assert.equal(total.order_discount, 333);
  assert.equal(total.lines.reduce((sum, each) => sum + each.share, 0), 333);
  assert.equal(total.total, 4_500 + 2_500 + 700 - 333);
});

test("the spread adds up for many carts", () => {
  let seed = 7;
  const random = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 2_000; round += 1) {
    const weights = Array.from({ length: 1 + random(9) }, () => BigInt(random(100_000)));
    const whole = weights.reduce((a, b) => a + b, 0n);
    const amount = whole === 0n ? 0n : BigInt(random(Number(whole) + 1));
    const shares = spread(amount, weights);
    assert.equal(shares.reduce((a, b) => a + b, 0n), amount);
    shares.forEach((share, at) => assert.ok(share >= 0n && share <= weights[at]));
  }
});

test("refunds of single pieces add up to the line", () => {
  const parts = [0, 1, 2].map((before) => refundShare(1_000, 3, before, 1));
  assert.deepEqual(parts, [333, 334, 333]);
  assert.equal(refundShare(1_000, 3, 0, 3), 1_000);
});
