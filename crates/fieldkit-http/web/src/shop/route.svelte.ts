// Which view is open: the URL hash, and nothing else.
// Promises: a reload or the back key shows the same view; an unknown hash is the sell view.

export const VIEWS = ["sell", "orders", "stock", "drawer", "event"] as const;
/** In the place of an order's id: the payments that belong to none. */
export const WITHOUT_ORDER = "without-order";
export type View = (typeof VIEWS)[number];

class Route {
  view = $state<View>("sell");
  order = $state<string | null>(null);
  /** On a narrow screen the cart covers the goods; the back key closes it. */
  cart = $state(false);

  constructor() {
    this.#take();
    window.addEventListener("hashchange", () => this.#take());
  }

  go(view: View, part: string | null = null): void {
    const hash = address(view, part);
    if (location.hash !== hash) location.hash = hash;
    this.#take();
  }

  #take(): void {
    const [view = "", id = ""] = location.hash.replace(/^#\/?/u, "").split("/");
    this.view = VIEWS.find((known) => known === view) ?? "sell";
    this.cart = this.view === "sell" && id === "cart";
    this.order = this.view === "orders" && id !== "" ? decoded(id) : null;
  }
}

export function address(view: View, part: string | null = null): string {
  return part === null ? `#/${view}` : `#/${view}/${encodeURIComponent(part)}`;
}

function decoded(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

export const route = new Route();
