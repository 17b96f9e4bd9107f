// A card terminal beside the kit: the simulated one, its journal, and a cable that can be pulled at a given moment.
// Promises: faults come from a script, one line for each transaction, so that none is late; the journal is read as a
// dispute would read it. Started again, the terminal has the same port and the same journal.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { PROGRAM } from "./kit.mjs";
import { until } from "./wait.mjs";

const READY_MS_MAX = 10_000;
/** First bytes of what a ZVT terminal says last of a payment that worked. */
const COMPLETION = Buffer.from([0x06, 0x0f]);

export class Terminal {
  #process = null;
  #port = 0;
  #starts = 0;
  #others = [];
  url = "";

  /** `script`: a fault or `ok` for each payment and reversal, in their order; `buyer_ms`: how long a buyer takes. */
  constructor(directory, { script = [], buyer_ms = 50 } = {}) {
    Object.assign(this, { directory, buyer_ms, script });
    this.path = join(directory, "terminal.ndjson");
  }

  async start({ script = this.script, buyer_ms = this.buyer_ms } = {}) {
    const args = ["simulate", "terminal", "--protocol", "zvt", "--tcp", `127.0.0.1:${this.#port}`, "--journal", this.path, "--buyer-ms", `${buyer_ms}`];
    if (script.length > 0) {
      const path = join(this.directory, `faults-${(this.#starts += 1)}.txt`);
      writeFileSync(path, `${script.join("\n")}\n`);
      args.push("--script", path);
    }
    const terminal = spawn(PROGRAM, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#process = terminal;
    terminal.ended = new Promise((ended) => terminal.once("exit", ended));
    let told = "";
    terminal.stdout.on("data", (text) => (told += text));
    await until("READY of the terminal", () => {
      if (terminal.exitCode !== null) throw new Error(`the terminal ended with ${terminal.exitCode}`);
      return told.includes("\n");
    }, READY_MS_MAX);
    this.url = told.match(/^READY (\S+)/u)[1];
    this.#port = Number(this.url.match(/:(\d+)$/u)[1]);
  }

  get port() {
    return this.#port;
  }

  /** Another terminal in its place, that knows nothing of its payments. */
  async standIn() {
    const other = new Terminal(this.directory, { buyer_ms: this.buyer_ms });
    other.path = join(this.directory, "stand-in.ndjson");
    other.#port = this.#port;
    this.#others.push(other);
    await other.start();
    return other;
  }

  /** A fault that holds from now on, such as `foreign 900`. */
  fault(line) {
    this.#process.stdin.write(`${line}\n`);
  }

  /** As when the plug is pulled: nothing is said, nothing is put in order. */
  async kill() {
    if (this.#process === null) return;
    this.#process.kill("SIGKILL");
    await this.#process.ended;
    this.#process = null;
  }

  /** The end of the test: neither this one nor a stand-in lives on. */
  async end() {
    for (const each of [this, ...this.#others]) await each.kill();
  }

  journal() {
    if (!existsSync(this.path)) return [];
    return readFileSync(this.path, "utf8").split("\n").slice(0, -1).map((line) => JSON.parse(line));
  }

  async tells(event) {
    return until(`the terminal's journal tells ${event}`, () => this.journal().find((line) => line.event === event));
  }

  /** `[receipt, trace, minor units]` of every charge that stands, oldest first. */
  charges(events = ["committed"]) {
    const standing = [];
    for (const { event, receipt, trace, amount } of this.journal()) {
      if (events.includes(event)) standing.push([receipt, trace, amount]);
      const at = standing.findIndex((known) => known[0] === receipt && known[1] === trace);
      if (["reversed", "auto_reversed"].includes(event) && at >= 0) standing.splice(at, 1);
    }
    return standing;
  }

  /** Every charge that stands pays exactly one order, and every order paid by card has its charge. */
  agrees(kit) {
    const booked = kit.orders().flatMap((order) => order.payments.filter((payment) => payment.tender === "card" && payment.taken.minor > 0));
    const named = booked.map((payment) => [payment.terminal_receipt, payment.trace, payment.charged.minor]);
    assert.deepEqual(named.sort(byReceipt), this.charges().sort(byReceipt), "the terminal's journal and the orders");
  }
}

function byReceipt(a, b) {
  return a[0] - b[0];
}

/** A cable to a terminal. Pulled, it leads nowhere until it is plugged in again. */
export class Cable {
  #server = null;
  #ends = new Set();
  #lose_completion = false;
  port = 0;

  constructor(terminal) {
    this.terminal = terminal;
  }

  get url() {
    return `zvt+tcp://127.0.0.1:${this.port}`;
  }

  async plug() {
    const server = createServer((kit) => this.#join(kit));
    await new Promise((listening, failed) => server.once("error", failed).listen(this.port, "127.0.0.1", listening));
    this.port = server.address().port;
    this.#server = server;
  }

  /** The next payment is charged and acknowledged; the cable is pulled before the terminal says that it is done. */
  loseCompletion() {
    this.#lose_completion = true;
  }

  pull() {
    this.#server?.close();
    this.#server = null;
    for (const end of this.#ends) end.destroy();
    this.#ends.clear();
  }

  #join(kit) {
    const terminal = connect(this.terminal.port, "127.0.0.1");
    for (const end of [kit, terminal]) {
      this.#ends.add(end);
      // The other end goes with it; a reset is as good an end as any.
      end.on("error", () => {});
      end.on("close", () => {
        kit.destroy();
        terminal.destroy();
        this.#ends.delete(end);
      });
    }
    kit.on("data", (bytes) => terminal.write(bytes));
    terminal.on("data", (bytes) => {
      if (this.#lose_completion && bytes.subarray(0, 2).equals(COMPLETION) && this.terminal.charges().length > 0) {
        this.#lose_completion = false;
        this.pull();
      } else {
        kit.write(bytes);
      }
    });
  }
}
