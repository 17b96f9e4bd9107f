// `fieldkit demo`, the program that scripts/demo ends in: from its start to a till that has sold by browser.
// Ten seconds is the promise; a browser is open already, as on any laptop.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePort, Kit, PROGRAM } from "./lib/kit.mjs";
import { closeBrowser, newContext, Till } from "./lib/till.mjs";
import { until } from "./lib/wait.mjs";

const FIRST_SALE_MS_MAX = 10_000;
after(closeBrowser);

test("from the start of the demo to the first sale", { timeout: 60_000 }, async (t) => {
  const home = mkdtempSync(join(tmpdir(), "fieldkit-e2e-"));
  const kit = new Kit(join(home, "demo"), await freePort());
  const context = await newContext();
  const begun = performance.now();
  const demo = spawn(PROGRAM, ["demo", "--no-open", "--data", kit.data, "--listen", `127.0.0.1:${kit.port}`], { env: kit.surroundings });
  const ended = new Promise((end) => demo.once("exit", (code) => end(code)));
  try {
    let told = "";
    demo.stdout.on("data", (text) => (told += text));
    demo.stderr.on("data", (text) => (told += text));
    await until("READY", () => {
      if (demo.exitCode !== null) throw new Error(told);
      return told.includes("READY http://localhost:");
    }, FIRST_SALE_MS_MAX);
    const ready_ms = performance.now() - begun;
    const till = await Till.open(context, kit);
    await till.sell("MUG", "20");
    const sold_ms = performance.now() - begun;
    t.diagnostic(`READY after ${Math.round(ready_ms)} ms, first sale after ${Math.round(sold_ms)} ms`);
    assert.ok(sold_ms < FIRST_SALE_MS_MAX, `${sold_ms} ms`);
    assert.equal(kit.orders().length, 1);
    const pictures = await till.page.evaluate(() => [...document.querySelectorAll("img")].filter((img) => !img.complete || img.naturalWidth === 0).length);
    assert.equal(pictures, 0, "pictures of the example goods");
    await till.agrees();
    till.clean();
    demo.kill("SIGINT");
    assert.equal(await ended, 0, "Ctrl-C ends it in order");
    kit.verified();
  } finally {
    demo.kill("SIGKILL");
    await context.close();
  }
  rmSync(home, { recursive: true, force: true });
});
