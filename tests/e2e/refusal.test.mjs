// What the kit refuses is said in three sentences: what happened, what it touched, the next step.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";

/** The problem on the page holds every sentence of the kit's answer. */
async function saysAll(till, problem) {
  await till.id("problem").waitFor();
  assert.equal(await till.id("problem").getAttribute("data-code"), problem.code);
  const words = await till.text("problem");
  for (const part of ["detail", "touched", "next_step"]) {
    assert.ok(problem[part].length > 8, `${part}: ${problem[part]}`);
    assert.ok(words.includes(problem[part]), `${part} on the page: ${words}`);
  }
}

/** A tab that has stopped hearing: what changed elsewhere since then, it does not know. */
async function deafened(till) {
  till.allow(/ERR_FAILED|ERR_ABORTED/u);
  till.allow(/40[49]|422/u);
  await till.page.route("**/api/v1/updates?*", (route) => route.abort());
  await till.page.reload();
  await till.ready();
}

async function refused(till, path, act) {
  const reply = till.page.waitForResponse((each) => each.request().method() === "POST" && each.url().includes(path));
  await act();
  const problem = await (await reply).json();
  await saysAll(till, problem);
  return problem.code;
}

stall("a drawer that is open already", async ({ kit, till, open }) => {
  const deaf = await open({ hash: "#/drawer" });
  await deafened(deaf);
  await deaf.id("drawer-open-amount").fill("10");
  await till.view("drawer");
  await till.id("drawer-open-amount").fill("50");
  await till.id("drawer-open").click();
  await till.shows("drawer-state", "Open");
  const code = await refused(deaf, "/drawer/open", () => deaf.id("drawer-open").click());
  assert.equal(code, "drawer_open");
  assert.equal(kit.drawer().opening.minor, 5000);
});

stall("a refund of more than is left, a void after a refund", async ({ kit, till, open }) => {
  await till.add("MUG", 2);
  await till.id("cash-exact").click();
  await till.pay();
  const { order_id } = kit.orders()[0];
  const deaf = await open({ hash: `#/orders/${order_id}` });
  await deafened(deaf);
  await deaf.id("refund").waitFor();
  kit.run(["refund", "--order", "1", "--line", "1=1", "--reason", "Wrong size"]);
  await deaf.id("void").click();
  await deaf.id("void-reason").fill("Typed wrongly");
  assert.equal(await refused(deaf, "/void", () => deaf.id("void-confirm").click()), "void_too_late");
  await deaf.page.keyboard.press("Escape");
  await deaf.page.reload();
  await deaf.id("refund").waitFor();
  kit.run(["refund", "--order", "1", "--reason", "All of it"]);
  await deaf.id("refund").click();
  await deaf.id("refund-all").click();
  await deaf.id("refund-reason").fill("Again");
  const code = await refused(deaf, "/refund", () => deaf.id("refund-confirm").click());
  assert.ok(["nothing_left", "refund_quantity"].includes(code), code);
  assert.equal(kit.orders()[0].state, "refunded");
});

stall("goods of a SKU that is taken, an order that does not exist", async ({ kit, till }) => {
  till.allow(/409|404/u);
  await till.view("stock");
  await till.id("new-item").click();
  await till.id("new-name").fill("Another mug");
  await till.id("new-sku").fill("MUG");
  await till.id("new-price").fill("1");
  assert.equal(await refused(till, "/items", () => till.id("new-save").click()), "sku_taken");
  await till.page.keyboard.press("Escape");
  assert.equal(kit.item("MUG").name, "Enamel Mug");
  await till.page.goto(`${kit.address}/#/orders/999`);
  await till.id("problem").waitFor();
  assert.equal(await till.id("problem").getAttribute("data-code"), "unknown_order");
});

stall("an import that is no catalogue", async ({ till }) => {
  till.allow(/422/u);
  await till.view("stock");
  const code = await refused(till, "/catalog/import", () =>
    till.id("import-file").setInputFiles({ name: "photo.csv", mimeType: "text/csv", buffer: Buffer.from([0xff, 0xd8, 0xff, 0x00, 0x01]) }));
  assert.equal(code, "catalogue_file");
  await till.page.keyboard.press("Escape");
});
