// Where a card payment stands, in words for the crew.
import assert from "node:assert/strict";
import { test } from "node:test";
import { actorOf, cannotCharge, currentPayment, isDoubtful, outcomeOf, phaseOf, undoFailure } from "../node_modules/.till-test/shop/standing.js";

const eur = (minor) => ({ minor, currency: "EUR" });
const shown = ({ minor }) => `EUR ${minor}`;
const card = (state, more = {}) => ({ payment_id: state, tender: "card", state, amount: eur(1250), taken: eur(0), charged: null, said: null, ...more });
const order = (payments, state = "awaiting_payment") => ({ state, payments });

const STATES = [
  ["intended", "running"],
  ["sent", "running"],
  ["approved", "running"],
  ["unknown", "unknown"],
  ["reversing", "undoing"],
  ["reversal_unknown", "undo_unknown"],
  ["mismatched", "mismatched"],
  ["declined", "ended"],
  ["cancelled", "ended"],
  ["not_charged", "ended"],
  ["reversed", "ended"],
  ["closed_by_person", "ended"],
  ["captured", "ended"],
  ["at_risk", "ended"],
];

test("every state of a payment has its screen", () => {
  for (const [state, phase] of STATES) assert.equal(phaseOf(card(state)), phase, state);
  assert.equal(phaseOf(null), "ended");
});

test("what holds the order comes before what ended later", () => {
  assert.equal(currentPayment(order([card("unknown"), card("declined")])).state, "unknown");
  assert.equal(currentPayment(order([card("declined"), card("cancelled")])).state, "cancelled");
  assert.equal(currentPayment(order([{ ...card("attested"), tender: "card-external" }])), null);
});

test("doubt is about charging and about paying back", () => {
  assert.ok(isDoubtful(order([card("unknown")])));
  assert.ok(isDoubtful(order([card("reversal_unknown")])));
  assert.ok(!isDoubtful(order([card("declined")])));
});

test("who acts now", () => {
  const sent = card("sent");
  for (const [text, actor] of [
    ["insert or hold the card", "buyer"],
    ["confirm the amount", "buyer"],
    ["wrong PIN", "buyer"],
    ["remove the card", "buyer"],
    ["waiting for the issuer", "terminal"],
    ["please wait", "terminal"],
    ["waiting for the crew", "crew"],
    [null, "terminal"],
  ]) {
    assert.equal(actorOf(sent, text), actor, text);
  }
  assert.equal(actorOf(card("intended"), null), "kit");
  assert.equal(actorOf(card("approved"), "approved"), "kit");
});

test("outcomes say whose words they are", () => {
  assert.match(outcomeOf(card("declined", { said: "the issuer says no (05)" }), shown).detail, /^The terminal says: The issuer says no \(05\)\.$/u);
  assert.match(outcomeOf(card("cancelled", { said: "stopped by the crew" }), shown).detail, /at the till/u);
  assert.match(outcomeOf(card("cancelled", { said: "stopped by the terminal" }), shown).detail, /at the terminal/u);
  assert.match(outcomeOf(card("cancelled", { said: "stopped by the kit, before the terminal heard of it" }), shown).detail, /did not send/u);
  const amiss = outcomeOf(card("not_charged", { charged: eur(900) }), shown);
  assert.match(amiss.detail, /EUR 900 instead of EUR 1250/u);
});

test("a void that the terminal refused is told, and only then", () => {
  assert.equal(undoFailure(order([card("captured", { said: "not possible now" })], "paid")), "not possible now");
  assert.equal(undoFailure(order([card("captured")], "paid")), null);
  assert.equal(undoFailure(order([card("reversed")], "voided")), null);
});

test("no card without contact", () => {
  const device = { label: "counter", link: "ready", trouble: null };
  assert.equal(cannotCharge(device), null);
  assert.equal(cannotCharge({ ...device, link: "up" }), null);
  assert.match(cannotCharge({ ...device, link: "down", trouble: "connection refused" }), /^No contact with counter\. Connection refused\.$/u);
  assert.match(cannotCharge(null), /no card terminal/u);
});
