// One test: a kit that runs, a till that is open, a card terminal where the test wants one, and the end that every test has.
// Promises: at the end the page agrees with the command line and the orders with the terminal's journal, the page is clean,
// the daemon stops with exit code 0 while the page is still open, and `verify` finds every chain and head whole. The
// data of a failed test stay.
import { dirname } from "node:path";
import { after, test } from "node:test";
import { Kit } from "./kit.mjs";
import { Cable, Terminal } from "./terminal.mjs";
import { closeBrowser, newContext, Till } from "./till.mjs";

export const GOODS = [
  ["MUG", "--name", "Enamel Mug", "--price", "12.50", "--count", "20"],
  ["TEE-M", "--name", "Market Tee", "--price", "25.00", "--count", "8"],
  ["PIN", "--name", "Star Pin", "--price", "5.00", "--count", "1"],
];

export function stall(name, options, body) {
  if (typeof options === "function") return stall(name, {}, options);
  test(name, { timeout: options.timeout_ms ?? 120_000 }, async () => {
    const kit = await Kit.found(options.items ?? GOODS, options.kit);
    const terminal = options.terminal === undefined ? null : new Terminal(dirname(kit.data), options.terminal);
    const cable = options.terminal?.cable === true ? new Cable(terminal) : null;
    const context = await newContext(options.context);
    const tills = [];
    const open = async (how) => {
      const till = await Till.open(context, kit, how);
      tills.push(till);
      return till;
    };
    try {
      await terminal?.start();
      await cable?.plug();
      if (terminal !== null) kit.devices = [`terminal=${(cable ?? terminal).url}`];
      await kit.start();
      const till = await open();
      if (terminal !== null) await till.terminalIs("ready");
      await body({ kit, till, context, open, terminal, cable });
      if (options.agrees !== false) await till.agrees();
      terminal?.agrees(kit);
      for (const each of tills) each.clean();
      await kit.stop();
      kit.verified();
    } catch (error) {
      const page = tills[0]?.page;
      await page?.screenshot({ path: `${kit.data}.png` }).catch(() => {});
      console.error(`what failed is kept in ${kit.data}; faults: ${JSON.stringify(tills.flatMap((each) => each.faults))}\n${kit.log}`);
      throw error;
    } finally {
      await context.close();
      await kit.kill();
      cable?.pull();
      await terminal?.end();
    }
    kit.remove();
  });
}

after(closeBrowser);
