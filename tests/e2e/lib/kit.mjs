// A kit of its own for each test: a data directory, the daemon, the command line, the API.
// Promises: the daemon has announced itself before `start` returns; `stop` is SIGTERM and must end with exit code 0;
// everything asked here goes by another way than the page (command line or plain HTTP).
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./wait.mjs";

export const CHECKOUT = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
export const PROGRAM = resolve(process.env.FIELDKIT ?? join(CHECKOUT, "target/fast/fieldkit"));
const READY_MS_MAX = 10_000;
const STOP_MS_MAX = 8_000;

export async function freePort() {
  const server = createServer();
  await new Promise((listening, failed) => server.once("error", failed).listen(0, "127.0.0.1", listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

export class Kit {
  #daemon = null;
  #keys = 0;
  log = "";
  /** What the daemon is told to drive, as `--device` takes it. */
  devices = [];

  constructor(data, port) {
    this.data = data;
    this.port = port;
    this.address = `http://localhost:${port}`;
  }

  /** Founds a kit; `items` are `[sku, options of catalog set …]`. */
  static async found(items, { args = [], name = "Corner Stall" } = {}) {
    const data = join(mkdtempSync(join(tmpdir(), "fieldkit-e2e-")), "data");
    const kit = new Kit(data, await freePort());
    kit.run(["init", "--name", name, "--currency", "EUR", "--zone", "Europe/Berlin", "--tax", "standard=190000=VAT 19 %", ...args]);
    for (const [sku, ...options] of items) kit.run(["catalog", "set", sku, ...options]);
    return kit;
  }

  /** Runs a command; another exit code than `wanted` is an error. */
  run(args, { wanted = 0, input } = {}) {
    const done = spawnSync(PROGRAM, ["--data", this.data, ...args], { encoding: "utf8", timeout: 30_000, input, env: this.surroundings });
    if (done.error) throw done.error;
    if (done.status !== wanted) {
      throw new Error(`fieldkit ${args.join(" ")}: exit ${done.status}, wanted ${wanted}\n${done.stdout}${done.stderr}\n${this.log}`);
    }
    return done;
  }

  /** What the program remembers of its kits beside their directories stays apart from this user's own. */
  get surroundings() {
    return { ...process.env, XDG_STATE_HOME: join(dirname(this.data), "state") };
  }

  json(args) {
    return JSON.parse(this.run([...args, "--json"]).stdout);
  }

  /** Orders as the command line tells them, oldest first. */
  orders() {
    return this.json(["orders"]).reverse();
  }

  item(sku) {
    return this.json(["stock"]).find((item) => item.sku === sku);
  }

  drawer() {
    return this.json(["cash", "show"]);
  }

  async start() {
    const devices = this.devices.flatMap((device) => ["--device", device]);
    const daemon = spawn(PROGRAM, ["--data", this.data, "up", "--listen", `127.0.0.1:${this.port}`, ...devices], { env: this.surroundings });
    this.#daemon = daemon;
    let told = "";
    daemon.stdout.on("data", (text) => (told += text));
    daemon.stderr.on("data", (text) => (this.log += text));
    daemon.ended = new Promise((ended) => daemon.once("exit", (code, signal) => ended({ code, signal })));
    await until(`READY of the daemon\n${this.log}`, () => {
      if (daemon.exitCode !== null) throw new Error(`the daemon ended with ${daemon.exitCode}: ${this.log}`);
      return told.includes("READY http://localhost:");
    }, READY_MS_MAX);
  }

  async stop() {
    if (this.#daemon === null) return;
    this.#daemon.kill("SIGTERM");
    const { code, signal } = await this.#ended("SIGTERM");
    if (code !== 0) throw new Error(`the daemon ended with ${code ?? signal} after SIGTERM:\n${this.log}`);
  }

  async kill() {
    if (this.#daemon === null) return;
    this.#daemon.kill("SIGKILL");
    await this.#ended("SIGKILL");
  }

  async #ended(signal) {
    let ended = null;
    void this.#daemon.ended.then((how) => (ended = how));
    const how = await until(`end of the daemon after ${signal}\n${this.log}`, () => ended, STOP_MS_MAX);
    this.#daemon = null;
    return how;
  }

  /** Everything checks out: every chain and every head. */
  verified() {
    const verdict = this.json(["verify"]);
    if (verdict.ok !== true) throw new Error(`verify: ${JSON.stringify(verdict)}`);
    return verdict;
  }

  async get(path) {
    const reply = await fetch(`${this.address}/api/v1${path}`);
    if (!reply.ok) throw new Error(`GET ${path}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  }

  async post(path, body, method = "POST") {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": `test-${++this.#keys}` };
    const reply = await fetch(`${this.address}/api/v1${path}`, { method, headers, body: JSON.stringify(body) });
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
    return reply.json();
  }

  /** Copies the data directory aside; only while nothing runs. */
  keepCopy() {
    const copy = `${this.data}.copy`;
    cpSync(this.data, copy, { recursive: true });
    return copy;
  }

  /** Puts a copy in the place of the data directory, as a restored backup does. */
  putBack(copy) {
    renameSync(this.data, `${this.data}.replaced`);
    renameSync(copy, this.data);
  }

  remove() {
    const home = dirname(this.data);
    if (existsSync(home)) rmSync(home, { recursive: true, force: true });
  }
}
