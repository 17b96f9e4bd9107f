// Cards at a terminal: every way a payment can go, as the crew sees it, against the simulated terminal's own journal.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";
import { until } from "./lib/wait.mjs";

/** A buyer who takes longer than the test. */
const SLOW = 120_000;

const states = (kit) => kit.orders().map((order) => [order.state, order.payments.map((payment) => payment.state)]);

stall("a card is charged: the terminal's words, then the receipt", { terminal: { buyer_ms: 1_500 } }, async ({ kit, till, terminal }) => {
  await till.chargeCard("MUG");
  await till.shows("card-amount", euros(1250));
  await till.holds("card-words", "Insert or hold the card");
  await till.shows("card-who", "The buyer’s turn");
  assert.equal(kit.orders()[0].state, "awaiting_payment");
  assert.equal(kit.orders()[0].receipt, null);
  const receipt = await till.receipt();
  await till.shows("paid-by-card", euros(1250));
  const [order] = kit.orders();
  assert.equal(receipt, `${order.series}-${order.receipt}`);
  assert.deepEqual(states(kit), [["paid", ["captured"]]]);
  assert.equal(terminal.charges().length, 1);
  assert.equal(await till.id("receipt-found").count(), 0, "nothing was in doubt");
  await till.newSale();
  assert.equal(await till.id("cart-line-MUG").count(), 0);
});

stall("declined, then another card", { terminal: { script: ["decline", "ok"] } }, async ({ kit, till, terminal }) => {
  await till.chargeCard("MUG");
  await till.outcome("declined", "The issuer says no");
  assert.equal(terminal.charges().length, 0);
  await till.id("card-again").click();
  await till.receipt();
  assert.deepEqual(states(kit), [["paid", ["declined", "captured"]]]);
});

stall("declined, then cash with change", { terminal: { script: ["decline"] } }, async ({ kit, till }) => {
  await till.chargeCard("MUG");
  await till.outcome("declined", "The issuer says no");
  await till.id("card-cash").click();
  await till.id("settle-given").fill("10");
  await till.id("settle-confirm").click();
  await till.page.getByText("less than what is left to pay").waitFor();
  await till.id("settle-given").fill("20");
  await till.id("settle-confirm").click();
  await till.receipt();
  await till.shows("change", euros(750));
  assert.deepEqual(states(kit), [["paid", ["declined", "captured"]]]);
});

stall("declined, then the crew's own reader", { terminal: { script: ["decline"] } }, async ({ kit, till }) => {
  await till.chargeCard("MUG");
  await till.outcome("declined", "The issuer says no");
  await till.id("card-reader").click();
  await till.id("settle-confirm").click();
  await till.page.getByText("last four digits.").waitFor();
  await till.id("reader-reference").fill("4242");
  await till.id("settle-confirm").click();
  await till.receipt();
  const [order] = kit.orders();
  assert.deepEqual(order.payments.map((payment) => [payment.tender, payment.state, payment.reference]), [
    ["card", "declined", null],
    ["card-external", "attested", "4242"],
  ]);
});

stall("the buyer presses stop, and the order is given up", { terminal: { script: ["abort"] } }, async ({ kit, till }) => {
  await till.chargeCard("PIN");
  await till.outcome("cancelled", "Stopped at the terminal");
  await till.id("card-give-up").click();
  await till.id("cancel-confirm").click();
  await till.page.getByText("Say the reason.").waitFor();
  await till.id("cancel-reason").fill("Buyer left");
  await till.id("cancel-confirm").click();
  await till.receipt();
  await till.shows("receipt-state", "Cancelled");
  assert.deepEqual(states(kit), [["cancelled", ["cancelled"]]]);
  assert.equal(kit.item("PIN").here, 1, "the goods are back");
});

stall("the crew presses stop", { terminal: { buyer_ms: SLOW } }, async ({ kit, till, terminal }) => {
  await till.chargeCard("MUG");
  await till.holds("card-words", "Insert or hold the card");
  await till.id("card-stop").click();
  await till.outcome("cancelled", "Stopped at the till");
  assert.equal(terminal.charges().length, 0);
  await till.id("card-cash").click();
  await till.id("settle-exact").click();
  await till.id("settle-confirm").click();
  await till.receipt();
  assert.deepEqual(states(kit), [["paid", ["cancelled", "captured"]]]);
});

stall("nobody knows, then the terminal had charged it", { terminal: { cable: true } }, async ({ kit, till, terminal, cable }) => {
  cable.loseCompletion();
  await till.chargeCard("MUG");
  await till.id("unknown").waitFor();
  await till.holds("unknown", "Do not charge again.");
  await till.terminalIs("down");
  assert.equal(await till.id("card-again").count(), 0, "no key charges a card");
  assert.equal(await till.id("ways-on").count(), 0);
  assert.equal(terminal.charges().length, 1, "the terminal has charged it");
  assert.equal(kit.orders()[0].state, "awaiting_payment");
  await cable.plug();
  await till.receipt();
  await till.holds("receipt-found", "nothing was charged twice");
  assert.deepEqual(states(kit), [["paid", ["captured"]]]);
});

stall("the cable is pulled while the buyer acts: not charged, and tried again", { terminal: { buyer_ms: SLOW } }, async ({ kit, till, terminal }) => {
  await till.chargeCard("MUG");
  await till.holds("card-words", "Insert or hold the card");
  await terminal.kill();
  await till.id("unknown").waitFor();
  await till.holds("unknown", "The card may have been charged.");
  await terminal.start({ buyer_ms: 50 });
  await till.outcome("not_charged", "charged nothing");
  assert.equal(terminal.charges().length, 0);
  await till.id("card-again").click();
  await till.receipt();
  assert.deepEqual(states(kit), [["paid", ["not_charged", "captured"]]]);
});

stall("the crew asks the terminal", { terminal: { cable: true } }, async ({ kit, till, cable }) => {
  cable.loseCompletion();
  await till.chargeCard("MUG");
  await till.id("unknown").waitFor();
  const asked = till.page.waitForResponse((reply) => reply.url().endsWith("/ask"));
  await till.id("unknown-ask").click();
  assert.equal((await asked).status(), 202);
  await till.holds("unknown", "The kit asks.");
  await cable.plug();
  await till.receipt();
  assert.deepEqual(states(kit), [["paid", ["captured"]]]);
});

stall("nobody knows, and the crew closes it by what it saw", { terminal: { cable: true } }, async ({ kit, till, terminal, cable }) => {
  cable.loseCompletion();
  await till.chargeCard("MUG");
  await till.id("unknown").waitFor();
  const [line] = terminal.charges();
  await till.id("unknown-by-hand").click();
  assert.ok(await till.id("unknown-close").isDisabled());
  await till.id("unknown-charged").check();
  assert.ok(await till.id("unknown-close").isDisabled(), "a choice alone is no evidence");
  await till.id("unknown-evidence").fill(`Terminal receipt ${line[0]}`);
  await till.id("unknown-close").click();
  await till.receipt();
  const [{ state, payments: [payment] }] = kit.orders();
  assert.deepEqual([state, payment.state, payment.said], ["paid", "closed_by_person", `Terminal receipt ${line[0]}`]);
});

stall("reloaded while the card is charged; a fresh tab comes to the same screen", { terminal: { buyer_ms: 4_000 } }, async ({ kit, till, open }) => {
  await till.chargeCard("MUG");
  await till.holds("card-words", "Insert or hold the card");
  await till.page.reload();
  await till.holds("card-words", "Insert or hold the card");
  const other = await open();
  await other.id("card-screen").waitFor();
  await other.holds("card-words", "Insert or hold the card");
  assert.equal(await till.receipt(), await other.receipt(), "two tabs agree");
  await till.shows("paid-by-card", euros(1250));
  assert.deepEqual(states(kit), [["paid", ["captured"]]]);
});

stall("the request held: the order is asked for again with its key, and charged once", { terminal: {} }, async ({ kit, till, terminal }) => {
  const held = await till.hold("**/api/v1/orders", { answered: true });
  await till.add("MUG");
  await till.id("way-card").click();
  await till.id("pay").click();
  await until("the kit's answer", () => held.replies === 1);
  held.let_go();
  await till.page.reload();
  await till.receipt();
  assert.equal(terminal.charges().length, 1);
  assert.deepEqual(states(kit), [["paid", ["captured"]]]);
});

stall("selling on while a card is charged; the waiting order is taken up from the list", { terminal: { buyer_ms: SLOW } }, async ({ kit, till }) => {
  await till.chargeCard("MUG");
  await till.holds("card-words", "Insert or hold the card");
  await till.id("sell-on").click();
  await till.holds("open-order", "Go on");
  await till.add("TEE-M");
  await till.id("way-card").click();
  till.allow(/409/u);
  await till.id("pay").click();
  await till.id("problem").waitFor();
  assert.equal(await till.id("problem").getAttribute("data-code"), "terminal_held");
  await till.id("way-cash").click();
  await till.id("cash-exact").click();
  await till.pay();
  await till.view("orders");
  const [waiting] = kit.orders();
  await till.holds(`order-${waiting.order_id}`, "Waiting for payment");
  await till.id(`order-${waiting.order_id}`).click();
  await till.id("card-stop").click();
  await till.outcome("cancelled", "Stopped at the till");
  await till.id("card-cash").click();
  await till.id("settle-exact").click();
  await till.id("settle-confirm").click();
  await until("the order is paid", () => kit.orders()[0].state === "paid");
  assert.deepEqual(states(kit), [["paid", ["cancelled", "captured"]], ["paid", ["captured"]]]);
});

stall("the daemon dies while the buyer acts, and comes back", { terminal: { buyer_ms: SLOW } }, async ({ kit, till, terminal }) => {
  till.allow(/ERR_|Failed to load|updates/u);
  await till.chargeCard("MUG");
  await till.holds("card-words", "Insert or hold the card");
  await kit.kill();
  await till.id("offline").waitFor();
  await terminal.kill();
  await terminal.start({ buyer_ms: 50 });
  await kit.start();
  await till.outcome("not_charged", "charged nothing");
  await till.id("card-again").click();
  await till.receipt();
  assert.deepEqual(states(kit), [["paid", ["not_charged", "captured"]]]);
});

stall("part in cash, the rest on the card", { terminal: {} }, async ({ kit, till, terminal }) => {
  await till.add("TEE-M");
  await till.id("way-card").click();
  await till.id("card-split").click();
  await till.id("card-part").fill("30");
  await till.id("pay").click();
  await till.page.getByText("leaves nothing for the card").waitFor();
  await till.id("card-part").fill("5,50");
  await till.shows("card-amount", euros(1950));
  await till.id("pay").click();
  await till.receipt();
  await till.shows("paid-by-card", euros(1950));
  const [order] = kit.orders();
  assert.deepEqual(order.payments.map((payment) => [payment.tender, payment.taken.minor]), [["card", 1950], ["cash", 550]]);
  assert.deepEqual(terminal.charges().map((charge) => charge[2]), [1950]);
});

stall("the crew's own reader, and part of it in cash; a card number is refused", async ({ kit, till }) => {
  await till.add("MUG");
  assert.equal(await till.id("way-card").count(), 0, "no terminal, no card");
  await till.id("way-reader").click();
  assert.equal(await till.id("reader-amount").inputValue(), "12.50");
  await till.id("pay").click();
  await till.page.getByText("or the card's last four digits.").waitFor();
  till.allow(/422|400|409/u);
  await till.id("reader-reference").fill("4111 1111 1111 1111");
  await till.id("pay").click();
  await till.id("problem").waitFor();
  assert.equal(await till.id("problem").getAttribute("data-code"), "card_number");
  await till.id("reader-reference").fill("TXN-8891");
  await till.page.reload();
  assert.equal(await till.id("reader-reference").inputValue(), "TXN-8891", "kept over a reload");
  await till.id("pay").click();
  await till.receipt();
  await till.newSale();
  await till.add("TEE-M");
  await till.id("way-reader").click();
  await till.id("reader-amount").fill("20");
  await till.page.getByText(`The rest, ${euros(500)}, in cash.`).waitFor();
  await till.id("reader-reference").fill("1881");
  await till.id("pay").click();
  await till.receipt();
  assert.deepEqual(kit.orders().map((order) => order.payments.map((payment) => [payment.tender, payment.state, payment.amount.minor, payment.reference])), [
    [["card-external", "attested", 1250, "TXN-8891"]],
    [["card-external", "attested", 2000, "1881"], ["cash", "captured", 500, null]],
  ]);
});

stall("the terminal charges another amount: told, taken back, charged anew", { terminal: { script: ["wrong-amount 900", "ok"] } }, async ({ kit, till, terminal }) => {
  await till.chargeCard("MUG");
  await until("the wrong charge is over", async () => (await till.id("card-screen").getAttribute("data-phase")) === "ended");
  await till.holds("card-outcome", `charged ${euros(900)} instead of ${euros(1250)}`);
  assert.deepEqual(terminal.charges(), [], "nothing of it stands");
  await till.settle();
  await till.id("card-again").click();
  await till.receipt();
  assert.deepEqual(terminal.charges().map((charge) => charge[2]), [1250]);
  assert.equal(kit.orders()[0].state, "paid");
});

stall("a void pays the card back at the terminal", { terminal: { buyer_ms: 300 } }, async ({ kit, till, terminal }) => {
  await till.chargeCard("MUG");
  await till.receipt();
  await till.id("void").click();
  await till.id("void-reason").fill("Wrong one");
  await till.holds("void-confirm", "on the card, at the terminal");
  await till.id("void-confirm").click();
  await till.shows("receipt-state", "Voided");
  await till.holds("undone", "paid back");
  assert.deepEqual(terminal.charges(), []);
  assert.ok(terminal.journal().some((line) => line.event === "reversed"));
  assert.deepEqual(states(kit), [["voided", ["reversed"]]]);
});

stall("a void that the terminal refuses changes nothing", { terminal: {} }, async ({ kit, till, terminal }) => {
  const voids = async () => {
    await till.id("void").click();
    await till.id("void-reason").fill("Wrong one");
    await till.id("void-confirm").click();
  };
  await till.chargeCard("MUG");
  await till.receipt();
  await terminal.kill();
  await till.terminalIs("down");
  const other = await terminal.standIn();
  await till.terminalIs("ready");
  await voids();
  await till.holds("undo-failed", "did not pay the card back");
  await till.shows("receipt-state", "Paid");
  assert.equal(terminal.charges().length, 1);
  await other.kill();
  await till.terminalIs("down");
  await terminal.start();
  await till.terminalIs("ready");
  await voids();
  await till.shows("receipt-state", "Voided");
  assert.deepEqual(states(kit), [["voided", ["reversed"]]]);
});

stall("a charge that belongs to no order is cleared up", { terminal: {} }, async ({ kit, till, terminal }) => {
  terminal.fault("foreign 900");
  const { receipt } = await terminal.tells("foreign");
  // The kit looks at a terminal's last transaction whenever it comes into contact with it.
  await terminal.kill();
  await till.terminalIs("down");
  await terminal.start();
  await until("the kit has found it", async () => (await kit.get("/foreign-payments")).length === 1);
  // A page that is open hears of it when it looks at the status again, after 20 s at most; this one looks now.
  await till.page.reload();
  await till.id("clear-up").click();
  await till.holds(`foreign-${receipt}`, euros(900));
  await till.id(`foreign-open-${receipt}`).click();
  await till.id("foreign-note").fill("Typed at the terminal by hand");
  await till.id("foreign-settle").click();
  await till.holds(`foreign-${receipt}`, "Cleared up");
  await till.id("clear-up").waitFor({ state: "detached" });
  const [found] = await kit.get("/foreign-payments");
  assert.deepEqual([found.amount.minor, found.settled, found.note], [900, true, "Typed at the terminal by hand"]);
});

stall("without contact no card is begun, and cash goes on", { terminal: {} }, async ({ kit, till, terminal }) => {
  await till.add("MUG");
  await till.id("way-card").click();
  await terminal.kill();
  await till.terminalIs("down");
  await till.holds("terminal-link", "no contact");
  await until("the key is off", () => till.id("pay").isDisabled());
  await till.page.getByText("No contact with", { exact: false }).first().waitFor();
  await till.id("way-cash").click();
  assert.ok(await till.id("way-card").isDisabled());
  await till.id("cash-exact").click();
  await till.pay();
  await terminal.start();
  await till.terminalIs("ready");
  assert.deepEqual(states(kit), [["paid", ["captured"]]]);
});

stall("an Enter storm on the key charges once, and presses nothing on the next screen", { terminal: { script: ["decline", "ok"] } }, async ({ kit, till }) => {
  await till.add("MUG");
  await till.id("way-card").click();
  await till.id("pay").focus();
  for (let times = 0; times < 12; times += 1) await till.page.keyboard.press("Enter");
  await till.outcome("declined", "The issuer says no");
  assert.deepEqual(states(kit), [["awaiting_payment", ["declined"]]]);
  await till.id("card-again").click();
  await till.receipt();
});

stall("by keyboard alone", { terminal: { script: ["decline", "ok"] } }, async ({ kit, till }) => {
  const { keyboard } = till.page;
  const focused = () => till.page.evaluate(() => document.activeElement?.dataset.testid ?? "");
  const reach = async (name, key = "Tab") => {
    for (let at = 0; at < 60 && (await focused()) !== name; at += 1) await keyboard.press(key);
    assert.equal(await focused(), name);
  };
  await keyboard.type("mug", { delay: 45 });
  await keyboard.press("Enter");
  await till.id("cart-line-MUG").waitFor();
  await keyboard.press("F2");
  await until("the payment", async () => (await focused()) === "cash-given");
  await reach("way-card", "Shift+Tab");
  await keyboard.press("Enter");
  await until("the key", async () => (await focused()) === "pay");
  await keyboard.press("Enter");
  await till.outcome("declined", "The issuer says no");
  await reach("card-again");
  await keyboard.press("Enter");
  await till.receipt();
  await until("New sale", async () => (await focused()) === "new-sale");
  assert.deepEqual(states(kit), [["paid", ["declined", "captured"]]]);
});

stall("on a phone", { terminal: { script: ["decline", "ok"], cable: true }, context: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true } }, async ({ till, cable }) => {
  await till.id("item-MUG").tap();
  await till.id("cart-open").tap();
  await till.id("way-reader").tap();
  await till.fits("own reader");
  await till.id("way-card").tap();
  await till.id("card-split").tap();
  await till.fits("card in the cart");
  await till.id("pay").tap();
  await till.id("card-screen").waitFor();
  await till.fits("the card screen");
  await till.outcome("declined", "The issuer says no");
  for (const way of ["card-cash", "card-reader", "card-give-up"]) {
    await till.id(way).tap();
    await till.fits(way);
  }
  cable.loseCompletion();
  await till.id("card-again").tap();
  await till.id("unknown").waitFor();
  await till.id("unknown-by-hand").tap();
  await till.fits("unknown");
  await cable.plug();
  await till.receipt();
  await till.fits("the receipt");
});
