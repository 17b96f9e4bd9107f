// No mouse at all: sale, receipt, new sale, refund, drawer, by keys alone.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";
import { euros } from "./lib/till.mjs";
import { until } from "./lib/wait.mjs";

/** A quick hand; a scanner is faster than 35 ms. */
const HAND = { delay: 45 };
const TABS_MAX = 60;

function hands(till) {
  const { keyboard } = till.page;
  const focused = () => till.page.evaluate(() => document.activeElement?.dataset.testid ?? "");
  return {
    press: (key) => keyboard.press(key),
    type: (text) => keyboard.type(text, HAND),
    focused,
    /** Tab until `name` has the focus. */
    async reach(name, key = "Tab") {
      for (let at = 0; at < TABS_MAX; at += 1) {
        if ((await focused()) === name) return;
        await keyboard.press(key);
      }
      throw new Error(`${TABS_MAX} × ${key} do not reach ${name}; the focus is on ${await focused()}`);
    },
    async on(name) {
      await until(`the focus on ${name}`, async () => (await focused()) === name);
    },
  };
}

stall("a day by keyboard alone", { agrees: false }, async ({ kit, till }) => {
  const { press, type, reach, on } = hands(till);
  await on("search");
  await type("mug");
  await press("Enter");
  await till.id("cart-line-MUG").waitFor();
  await type("tee");
  await press("Enter");
  await till.id("cart-line-TEE-M").waitFor();
  await press("F2");
  await on("cash-given");
  await type("40");
  await till.shows("change", euros(250));
  await press("Enter");
  await till.receipt();
  await till.shows("change", euros(250));
  await on("new-sale");
  await till.settle();
  await press("Enter");
  await on("search");

  await press("ArrowDown");
  await until("a tile has the focus", () => till.page.evaluate(() => document.activeElement?.classList.contains("tile")));
  await press("End");
  await press("Enter");
  await press("F2");
  await on("cash-given");
  await reach("cash-exact", "Shift+Tab");
  await press("Enter");
  await reach("pay");
  await press("Enter");
  await till.receipt();

  await reach("refund");
  await press("Enter");
  await till.id("refund-confirm").waitFor();
  await reach("refund-reason");
  await type("Wrong one");
  await reach("refund-confirm");
  await press("Enter");
  await till.shows("receipt-state", "Refunded");
  assert.deepEqual(kit.orders().map((order) => order.state), ["paid", "refunded"]);

  await reach("undo");
  await press("Enter");
  await till.shows("receipt-state", "Paid");

  await reach("nav-drawer");
  await press("Enter");
  await till.id("drawer-state").waitFor();
  await reach("drawer-open-amount");
  await type("100");
  await press("Enter");
  await till.shows("drawer-state", "Open");
  assert.equal(kit.drawer().opening.minor, 10_000);
  await press("p");
  await on("cash-given");
  await press("Escape");
  await on("search");
});

stall("a scanner: codes sell, wherever the focus is", { agrees: false, items: [["MUG", "--name", "Enamel Mug", "--price", "12.50", "--count", "20", "--barcode", "4006381333931"]] }, async ({ kit, till }) => {
  const scan = async () => {
    for (const digit of "4006381333931") await till.page.keyboard.press(digit);
    await till.page.keyboard.press("Enter");
  };
  await scan();
  await till.id("cart-line-MUG").waitFor();
  await till.id("cash-given").fill("50");
  await till.id("cash-given").focus();
  await scan();
  await till.shows("total", euros(2500));
  assert.equal(await till.id("cash-given").inputValue(), "50", "the code does not stay in the amount");
  assert.equal(kit.orders().length, 0, "the scanner's Enter pays nothing");
  await till.pay();
  assert.equal(kit.orders().length, 1);
});
