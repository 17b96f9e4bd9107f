// The till page in Chromium, as a person uses it.
// Promises: actions go through the screen; a console error, a page error, a dialog of the browser or a violation of
// the content policy fails the test, unless the test said that it must come.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { STATE_MS_MAX, until, untilEqual } from "./wait.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** A press this soon after the receipt came is a bounce; the page's own number is 600. */
const BOUNCE_MS = 700;

let browser = null;

export async function openBrowser() {
  browser ??= await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
  browser = null;
}

export async function newContext(options = {}) {
  const opened = await openBrowser();
  const context = await opened.newContext({ locale: "en-US", viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(STATE_MS_MAX);
  return context;
}

/** Euros as the page writes them. */
export function euros(minor) {
  return new Intl.NumberFormat("en-US", { style: "currency", currency: "EUR" }).format(minor / 100);
}

export class Till {
  faults = [];
  #allowed = [];
  #watching = true;

  static async open(context, kit, { hash = "" } = {}) {
    const till = new Till(context, kit, await context.newPage());
    await till.page.exposeBinding("tellViolation", (_, text) => till.#fault(`content policy: ${text}`));
    await till.page.addInitScript(() => {
      // Only the clock that the page reads is set forward; its timers stay the browser's, with the errors thrown in them.
      const now = performance.now.bind(performance);
      let ahead_ms = 0;
      performance.now = () => now() + ahead_ms;
      globalThis.setForward = (ms) => (ahead_ms += ms);
      addEventListener("securitypolicyviolation", (event) => {
        globalThis.tellViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
      });
    });
    await till.page.goto(`${kit.address}/${hash}`);
    await till.ready();
    return till;
  }

  constructor(context, kit, page) {
    Object.assign(this, { context, kit, page });
    page.on("console", (message) => message.type() === "error" && this.#fault(`console: ${message.text()} ${message.location().url}`));
    page.on("pageerror", (error) => this.#fault(`page error: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.#fault(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("crash", () => this.#fault("the page crashed"));
  }

  #fault(text) {
    if (this.#watching && !this.#allowed.some((pattern) => pattern.test(text))) this.faults.push(text);
  }

  /** From here on a console message like this is expected. Browsers log each answer that is no success. */
  allow(pattern) {
    this.#allowed.push(pattern);
  }

  /** The end of watching: nothing may have gone wrong in the page. */
  clean() {
    this.#watching = false;
    assert.deepEqual(this.faults, [], "console errors, page errors, dialogs, content policy");
  }

  id(name) {
    return this.page.getByTestId(name);
  }

  text(name) {
    return this.id(name).innerText();
  }

  /** The page has heard from the kit. */
  async ready() {
    await this.id("durability").waitFor();
  }

  async shows(name, wanted) {
    await untilEqual(`${name} shows ${wanted}`, async () => (await this.text(name)).trim(), wanted);
  }

  async holds(name, part) {
    await until(`${name} holds ${part}`, async () => (await this.text(name)).includes(part));
  }

  async view(name) {
    await this.id(`nav-${name}`).click();
    await until(`the view ${name}`, () => this.page.evaluate((wanted) => location.hash.startsWith(`#/${wanted}`), name));
  }

  async add(sku, times = 1) {
    for (let at = 0; at < times; at += 1) await this.id(`item-${sku}`).click();
    await this.id(`cart-line-${sku}`).waitFor({ state: "attached" });
  }

  async give(amount) {
    await this.id("cash-given").fill(amount);
  }

  /** What the page says of the contact with the card terminal. */
  async terminalIs(link) {
    await until(`the terminal is ${link}`, async () => (await this.id("terminal-link").getAttribute("data-link")) === link);
  }

  /** Puts an item into the cart and has the card charged; the screen of the open order is there afterwards. */
  async chargeCard(sku) {
    await this.add(sku);
    await this.id("way-card").click();
    await this.id("pay").click();
    await this.id("card-screen").waitFor();
  }

  /** The newest attempt of the order on screen ended like this; presses count again afterwards. */
  async outcome(state, part) {
    await this.page.locator(`[data-testid=card-outcome][data-state=${state}]`).waitFor();
    await this.holds("card-outcome", part);
    await this.settle();
  }

  /** Presses the key and waits for the receipt; returns its name, such as 7F3K-17. */
  async pay() {
    await this.id("pay").click();
    return this.receipt();
  }

  async receipt() {
    await this.id("receipt").waitFor();
    return (await this.text("receipt-number")).trim();
  }

  async sell(sku, given) {
    await this.add(sku);
    await this.give(given);
    return this.pay();
  }

  /** Sets the page's own clock forward, by default past the time in which a second press is a bounce. */
  async settle(ms = BOUNCE_MS) {
    await this.page.evaluate((forward_ms) => globalThis.setForward(forward_ms), ms);
  }

  async newSale() {
    await this.settle();
    await this.id("new-sale").click();
    await this.id("search").waitFor();
  }

  async discount(button, percent, reason) {
    await this.id(button).click();
    await this.id("discount-value").fill(percent);
    await this.id("discount-reason").fill(reason);
    await this.id("discount-apply").click();
    await this.id("discount-value").waitFor({ state: "detached" });
  }

  /**
   * Holds requests to `pattern` for ever: before they reach the kit, or (`answered`) once the kit has answered.
   * After `let_go` new requests pass; those held before stay held, as they do for a page that goes away.
   */
  async hold(pattern, { answered = false } = {}) {
    const held = { keys: [], replies: 0, let_go: () => (held.going = true), going: false };
    await this.page.route(pattern, async (route) => {
      if (held.going || route.request().method() === "GET") return route.continue();
      held.keys.push(route.request().headers()["idempotency-key"]);
      if (!answered) return;
      await route.fetch();
      held.replies += 1;
    });
    return held;
  }

  /** Nothing is wider than the screen: not the document, not what scrolls inside it. */
  async fits(where) {
    const wide = await this.page.evaluate(() => {
      const found = [];
      const boxes = [document.documentElement, ...document.querySelectorAll("main, section, dialog, .lines, .goods, .cart, article, form")];
      for (const box of boxes) {
        const style = getComputedStyle(box);
        if (box.scrollWidth > box.clientWidth + 1 && style.overflowX !== "hidden" && style.display !== "inline" && box.clientWidth > 0) {
          found.push(`${box.tagName.toLowerCase()}.${box.className}: ${box.scrollWidth} in ${box.clientWidth}`);
        }
      }
      return found;
    });
    assert.deepEqual(wide, [], `${where}: wider than the screen`);
  }

  /** What the page shows in Orders, Stock and Drawer is what the command line says. */
  async agrees() {
    await this.#ordersAgree();
    await this.#stockAgrees();
    await this.view("drawer");
    const drawer = this.kit.drawer();
    await this.shows("drawer-state", drawer.state === "open" ? "Open" : "Closed");
  }

  async #ordersAgree() {
    await this.view("orders");
    const words = { paid: "Paid", part_refunded: "Partly refunded", refunded: "Refunded", voided: "Voided", awaiting_payment: "Waiting for payment", cancelled: "Cancelled" };
    const nameless = { awaiting_payment: "No receipt yet", cancelled: "No receipt" };
    const name = (order) => nameless[order.state] ?? `${order.series}-${order.receipt}`;
    const wanted = this.kit.orders().reverse().map((order) => [name(order), euros(order.total.minor), words[order.state]]);
    await untilEqual("the list of orders", () =>
      this.page.evaluate((states) => {
        const rows = [...document.querySelectorAll(".list a[data-testid^=order-]")];
        return rows.map((row) => {
          const state = states.find((word) => row.querySelector(".end")?.textContent?.includes(word));
          return [row.querySelector(".id")?.textContent, row.querySelector(".sum")?.textContent, state];
        });
      }, Object.values(words)), wanted);
  }

  async #stockAgrees() {
    await this.view("stock");
    for (const item of this.kit.json(["stock"])) {
      const elsewhere = item.elsewhere > 0 ? ` + ${item.elsewhere} elsewhere` : "";
      const here = item.limit === "uncounted" ? "not counted" : `${item.here} here${elsewhere}`;
      const price = item.open_price ? "Ask price" : euros(item.price.minor);
      await untilEqual(`the stock of ${item.sku}`, () =>
        this.id(`stock-row-${item.sku}`).evaluate((row) => {
          const text = (part) => row.querySelector(part)?.textContent?.trim().replace(/\s+/gu, " ");
          return [text(".price"), text(".count"), text(".sold")];
        }), [price, here, `${item.sold} sold`]);
    }
  }
}
