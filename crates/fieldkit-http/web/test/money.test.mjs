// Money as typed and as shown.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decimalText, exponentOf, likelyHandovers, parseMoney, parsePercent, percentText } from "../node_modules/.till-test/shop/money.js";

function check(text, currency, expected) {
  const parsed = parseMoney(text, currency);
  assert.equal(parsed.ok ? parsed.value : "refused", expected, `${text} ${currency}`);
}

test("comma and point are decimals by position", () => {
  check("12.50", "EUR", 1250);
  check("12,50", "EUR", 1250);
  check("12,5", "EUR", 1250);
  check("12", "EUR", 1200);
  check(" 12. ", "EUR", 1200);
  check(".5", "EUR", 50);
  check("0", "EUR", 0);
  check("1250", "JPY", 1250);
  check("1,250", "KWD", 1250);
});

test("what is ambiguous is refused", () => {
  for (const text of ["", "1.250", "1,250", "1.250,00", "1'250", "12 50", "12€", "-5", "abc", ".", "1e3", "12.345", "٣"]) {
    check(text, "EUR", "refused");
  }
  check("12.5", "JPY", "refused");
  check("99999999999999999", "EUR", "refused");
});

test("percentages are parts per million", () => {
  assert.deepEqual(parsePercent("19"), { ok: true, value: 190_000 });
  assert.deepEqual(parsePercent("7,75 %"), { ok: true, value: 77_500 });
  assert.equal(parsePercent("101").ok, false);
  assert.equal(percentText(190_000), "19 %");
  assert.equal(percentText(77_500), "7.75 %");
  assert.equal(percentText(0), "0 %");
});

test("minor units read back as typed", () => {
  assert.equal(decimalText(5, 2), "0.05");
  assert.equal(decimalText(-1250, 2), "-12.50");
  assert.equal(decimalText(1250, 0), "1250");
  assert.equal(exponentOf("JPY"), 0);
});

test("the likely handovers are more than the total and go up", () => {
  assert.deepEqual(likelyHandovers(10_567, "EUR"), [11_000, 12_000, 15_000]);
  assert.deepEqual(likelyHandovers(2_000, "EUR"), [5_000, 10_000, 20_000]);
  assert.deepEqual(likelyHandovers(1_250, "JPY"), [2_000, 5_000, 10_000]);
});
