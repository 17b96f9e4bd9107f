// A scanner is told from a hand by its speed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Burst, BURST_FREE_MIN, BURST_IN_FIELD_MIN } from "../node_modules/.till-test/shop/burst.js";

function type(burst, text, gap_ms, from_ms = 0) {
  let at = from_ms;
  for (const character of text) {
    burst.key(character, at);
    at += gap_ms;
  }
  return at;
}

test("two hundred characters a second are a scan", () => {
  const burst = new Burst();
  const at = type(burst, "4006381333931", 5);
  assert.equal(burst.enter(at, BURST_IN_FIELD_MIN), "4006381333931");
});

test("the extra Enter of a scanner is swallowed", () => {
  const burst = new Burst();
  const at = type(burst, "4006381333931", 5);
  burst.enter(at, BURST_FREE_MIN);
  assert.equal(burst.enter(at + 5, BURST_FREE_MIN), "");
  assert.equal(burst.enter(at + 2_000, BURST_FREE_MIN), null);
});

test("a hand's amount and Enter are a hand's", () => {
  const burst = new Burst();
  const at = type(burst, "20.00", 90);
  assert.equal(burst.enter(at + 90, BURST_IN_FIELD_MIN), null);
});

test("a short quick amount in a field is a hand's", () => {
  const burst = new Burst();
  const at = type(burst, "20.00", 2);
  assert.equal(burst.enter(at, BURST_IN_FIELD_MIN), null);
});
