// What the kit says right now: status, goods, drawer, and whether it answers at all.
// Promises: live by server-sent events; after every reconnect everything is read again and the witness is sent.
import { SvelteMap } from "svelte/reactivity";
import { answer, read, write } from "./api.ts";
import { keep, kept } from "./keep.ts";
import { nextKey } from "./keys.ts";
import { followAddress, remember, report } from "./watch.ts";
import type { Device, Drawer, Head, Item, Order, OrderUpdate, Remember, Status, WitnessVerdict } from "./types.ts";
import { wakeWriters } from "./writer.svelte.ts";

const HEAD = "fieldkit.head";
const FIRST_RETRY_MS = 150;
const RETRY_MS = 1_500;
const GRACE_MS = 900;
const WATCHDOG_MS = 20_000;
/** Open orders are looked for among so many of the newest. */
const LOOK_BACK = 50;

export type Contact = "connecting" | "up" | "lost";

interface Units {
  here: number;
  elsewhere: number;
  sold: number;
}

class Kit {
  contact = $state<Contact>("connecting");
  status = $state<Status | null>(null);
  items = $state.raw<Item[]>([]);
  items_loaded = $state(false);
  drawer = $state<Drawer | null>(null);
  witness = $state<WitnessVerdict["verdict"] | null>(null);
  /** Goes up with each order the stream reports, so that lists know to read again. */
  orders_seen = $state(0);
  /** How often each order was told of, so that whoever shows one knows to read it again. */
  readonly order_news = new SvelteMap<string, number>();
  /** Goes up whenever the stream begins anew: what was told meanwhile was missed. */
  streams = $state(0);
  /** Orders that wait for their payment, as far as the newest orders and the stream tell. */
  readonly open_orders = new SvelteMap<string, OrderUpdate>();

  readonly by_sku = $derived(new Map(this.items.map((item) => [item.sku, item])));

  readonly terminals: Device[] = $derived((this.status?.devices ?? []).filter((device) => device.role === "terminal"));

  /** The terminal that a payment without a word on it goes to: the newest. */
  get terminal(): Device | null {
    return this.terminals.at(-1) ?? null;
  }

  get currency(): string {
    return this.status?.currency ?? this.items[0]?.price.currency ?? "EUR";
  }

  get exponent(): number {
    return this.status?.currency_exponent ?? 2;
  }

  #source: EventSource | null = null;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #pendingStock = new Map<string, Units>();

  start(): void {
    this.#connect();
    void this.refresh();
    setInterval(() => void this.#watch(), WATCHDOG_MS);
    answer.heard = () => {
      if (this.contact === "lost" && this.#source?.readyState === EventSource.CLOSED) this.#connect();
    };
    window.addEventListener("online", () => this.#reconnectNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.contact !== "up") this.#reconnectNow();
    });
  }

  async refresh(): Promise<void> {
    await Promise.allSettled([this.readStatus(), this.readItems(), this.readDrawer(), this.readOpenOrders()]);
  }

  async readOpenOrders(): Promise<void> {
    const newest = await read<Order[]>(`/orders?limit=${LOOK_BACK}`);
    for (const order of newest) this.#takeOrder(order);
  }

  async readStatus(): Promise<void> {
    this.#takeStatus(await read<Status>("/status"));
  }

  async readItems(): Promise<void> {
    this.items = await read<Item[]>("/items");
    this.items_loaded = true;
  }

  async readDrawer(): Promise<void> {
    this.drawer = await read<Drawer>("/drawer");
  }

  /** Puts one item the daemon replied with in its place. */
  takeItem(item: Item): void {
    const known = this.by_sku.has(item.sku);
    this.items = known ? this.items.map((old) => (old.sku === item.sku ? item : old)) : [...this.items, item];
  }

  #connect(): void {
    this.#source?.close();
    const source = new EventSource(followAddress);
    this.#source = source;
    source.onopen = () => {
      clearTimeout(this.#grace);
      this.#grace = undefined;
      this.contact = "up";
      this.streams += 1;
      wakeWriters();
      // First, so that no newer head takes the place of the one the kit has to answer for.
      void this.#sendWitness();
      void report();
      void this.refresh();
    };
    source.onerror = () => {
      // Reconnecting is ours: the browser waits longer each time, and gives up on an answer that is an error.
      source.close();
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#source === source && this.#connect(), this.contact === "up" ? FIRST_RETRY_MS : RETRY_MS);
      this.#grace ??= setTimeout(() => (this.contact = "lost"), GRACE_MS);
    };
    const on = <T>(name: string, take: (data: T) => void) =>
      source.addEventListener(name, (event: MessageEvent<string>) => {
        try {
          take(JSON.parse(event.data) as T);
        } catch {
          // An event this page cannot read is an event of a newer kit.
        }
      });
    on<Units & { sku: string }>("stock", (data) => this.#takeStock(data));
    on<OrderUpdate>("order", (data) => {
      this.order_news.set(data.order_id, (this.order_news.get(data.order_id) ?? 0) + 1);
      this.orders_seen += 1;
      this.#takeOrder(data);
    });
    on<Device>("device", (data) => this.#takeDevice(data));
    on("catalog", () => void this.readItems().catch(() => {}));
    on("drawer", () => void this.readDrawer().catch(() => {}));
    on<Status>("status", (data) => this.#takeStatus(data));
    on<Remember>("remember", (data) => void remember(data));
    on<Head>("head", (data) => this.#takeHead(data));
  }

  #reconnectNow(): void {
    if (this.contact !== "up") this.#connect();
  }

  /** A stream can hang without an error (a sleeping laptop); a question every 20 s notices. */
  async #watch(): Promise<void> {
    try {
      await this.readStatus();
    } catch {
      this.contact = "lost";
      this.#connect();
    }
  }

  #takeStatus(status: Status): void {
    const changed = this.status !== null && this.status.event !== status.event;
    this.status = status;
    if (status.head !== null) this.#takeHead(status.head);
    if (changed) void Promise.allSettled([this.readItems(), this.readDrawer()]);
  }

  #takeOrder({ order_id, receipt, series, state, total }: OrderUpdate): void {
    if (state === "awaiting_payment") this.open_orders.set(order_id, { order_id, receipt, series, state, total });
    else this.open_orders.delete(order_id);
  }

  #takeDevice(device: Device): void {
    if (this.status === null) return;
    const known = this.status.devices.some((old) => old.device_id === device.device_id);
    this.status.devices = known
      ? this.status.devices.map((old) => (old.device_id === device.device_id ? device : old))
      : [...this.status.devices, device];
  }

  /** One pass for a burst of stock events: a drop of 500 SKUs must not copy the list 500 times. */
  #takeStock({ sku, here, elsewhere, sold }: Units & { sku: string }): void {
    if (this.#pendingStock.size === 0) {
      setTimeout(() => {
        const news = this.#pendingStock;
        this.#pendingStock = new Map();
        this.items = this.items.map((item) => {
          const fresh = news.get(item.sku);
          return fresh === undefined ? item : { ...item, ...fresh };
        });
      }, 16);
    }
    this.#pendingStock.set(sku, { here, elsewhere, sold });
  }

  #sentWitness: Promise<void> | null = null;

  /** The page is a witness: it shows the kit the last head it saw. Until that is answered the kept head stays. */
  #sendWitness(): Promise<void> {
    this.#sentWitness ??= this.#tellWitness().finally(() => (this.#sentWitness = null));
    return this.#sentWitness;
  }

  async #tellWitness(): Promise<void> {
    const head = this.#kept_head;
    if (head === null) return;
    this.#witnessed = false;
    const body = JSON.stringify({ stream: head.stream, seq: head.seq, hash: head.hash });
    try {
      const reply = await write<WitnessVerdict>({
        method: "POST",
        path: "/witness",
        body,
        content_type: "application/json",
        key: nextKey(),
      });
      this.witness = reply.verdict;
      this.#witnessed = reply.verdict === "agrees";
    } catch {
      // Asked again at the next reconnect.
    }
  }

  #kept_head = kept<Head>(localStorage, HEAD);
  #witnessed = this.#kept_head === null;

  /** The operator has compared: from here on this page watches the record as it is now. */
  acceptRecord(): void {
    this.witness = null;
    this.#witnessed = true;
    this.#kept_head = null;
    if (this.status?.head) this.#takeHead(this.status.head);
  }

  #takeHead(head: Head): void {
    // Until the kit agrees with the kept head, another one must not overwrite the evidence.
    if (!this.#witnessed) return;
    const kept_head = this.#kept_head;
    if (kept_head !== null && kept_head.stream === head.stream && kept_head.seq > head.seq) return;
    this.#kept_head = head;
    keep(localStorage, HEAD, head);
  }
}

export const kit = new Kit();
