// The watch itself: what the other tests rely on to fail, planted here and found.
import assert from "node:assert/strict";
import { stall } from "./lib/stall.mjs";
import { until } from "./lib/wait.mjs";

stall("a console error, a page error, a dialog and a violation of the content policy are found", { agrees: false }, async ({ till }) => {
  const found = async (pattern) => {
    await until(`a fault like ${pattern}`, () => till.faults.some((fault) => pattern.test(fault)));
    till.faults = [];
  };
  await till.page.evaluate(() => console.error("planted"));
  await found(/console: planted/u);
  await till.page.evaluate(() => void setTimeout(() => { throw new Error("planted"); }, 0));
  await found(/page error: planted/u);
  await till.page.evaluate(() => void setTimeout(() => alert("planted"), 0));
  await found(/dialog: planted/u);
  await till.page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.ran = true";
    document.body.append(script);
  });
  await found(/content policy: script-src/u);
  assert.equal(await till.page.evaluate(() => globalThis.ran), undefined, "inline code does not run");
  await until("the browser's own word on it", () => till.faults.length > 0, 1_000).catch(() => {});
  till.faults = [];
});

stall("what is wider than the screen is found", { agrees: false }, async ({ till }) => {
  await till.fits("as it is");
  await till.page.evaluate(() => {
    const wide = document.createElement("p");
    wide.style.width = "3000px";
    document.querySelector("main").append(wide);
  });
  await assert.rejects(till.fits("planted"), /wider than the screen/u);
  await till.page.reload();
});
