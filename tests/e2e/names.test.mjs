// Hostile names: shown as the text they are, nothing runs, nothing is wider than the screen.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";
import { until } from "./lib/wait.mjs";

const NAMES = [
  ["TAG", `<img src=x onerror="alert(1)">`],
  ["SCRIPT", `</script><script>alert(2)</script>`],
  ["RTL", "‏קערה כחולה עם <b>דג</b>"],
  ["EMOJI", "👩‍👩‍👧‍👦🧶🇩🇪 scarf 🏴‍☠️"],
  ["LONG", "x".repeat(200)],
  ["WORDS", "{{constructor}} ${7*7} %00 ' OR 1=1 -- \\"],
  [`"'<&>`, "odd SKU"],
];
const ITEMS = NAMES.map(([sku, name]) => [sku, "--name", name, "--price", "1.00", "--count", "3"]);

/** As long as the field lets it be: what a field takes, the kit must take too. */
async function fillUp(till, name, start) {
  const most = Number(await till.id(name).getAttribute("maxlength"));
  await till.id(name).fill(start.padEnd(most, "y"));
}

for (const [width, height] of [[360, 740], [1280, 900]]) {
  const context = { viewport: { width, height } };
  const kit = { name: "<b>Stall</b>", args: ["--event", "<script>alert(3)</script> Märkte 🎪", "--seller", "<i>Müller & Söhne</i>", "--address", "1 \"Quote\" Street\nZürich"] };
  stall(`at ${width} points`, { items: ITEMS, context, kit, agrees: width > 700 }, async ({ kit, till }) => {
    for (const [sku, name] of NAMES) {
      const tile = till.id(`item-${sku}`);
      assert.equal(await tile.locator(".name").textContent(), name);
      await tile.click();
    }
    await till.fits("goods");
    if (width < 700) await till.id("cart-open").click();
    await till.fits("cart");
    await till.id("order-discount").click();
    await till.id("discount-value").fill("10");
    await fillUp(till, "discount-reason", "<svg onload=alert(4)> ");
    await till.id("discount-apply").click();
    await till.fits("discounted cart");
    await till.id("cash-exact").click();
    await till.pay();
    await till.fits("receipt");
    const slip = await till.page.locator("article.slip").textContent();
    for (const [, name] of NAMES) assert.ok(slip.includes(name), name);
    assert.ok(slip.includes("<i>Müller & Söhne</i>") && slip.includes("<svg onload=alert(4)>"));
    await till.id("refund").click();
    await till.fits("refund");
    await till.id("refund-all").click();
    await fillUp(till, "refund-reason", "<iframe src=javascript:alert(5)>");
    await till.id("refund-confirm").click();
    await till.shows("receipt-state", "Refunded");
    await till.fits("refunded receipt");
    for (const view of ["stock", "event", "orders"]) {
      await till.view(view);
      await until("words of the view", () => till.page.getByText("<").first().isVisible());
      await till.fits(view);
    }
    assert.equal(await till.page.locator("img[src='x'], svg[onload], iframe, main script").count(), 0);
    assert.deepEqual(kit.orders()[0].lines.map((line) => line.name), NAMES.map(([, name]) => name));
  });
}
