// Which view is open: the URL hash, and nothing else.
// Promises: a reload or the back key shows the same view; an unknown hash is the sell view.

export const VIEWS = ["sell", "orders", "stock", "drawer", "event"] as const;
export type View = (typeof VIEWS)[number];

class Route {
  view = $state<View>("sell");
  order = $state<string | null>(null);

  constructor() {
    this.#take();
    window.addEventListener("hashchange", () => this.#take());
  }

  go(view: View, order: string | null = null): void {
    const hash = address(view, order);
    if (location.hash !== hash) location.hash = hash;
    this.#take();
  }

  #take(): void {
    const [view = "", id = ""] = location.hash.replace(/^#\/?/u, "").split("/");
    this.view = VIEWS.find((known) => known === view) ?? "sell";
    this.order = this.view === "orders" && id !== "" ? decoded(id) : null;
  }
}

export function address(view: View, order: string | null = null): string {
  return order === null ? `#/${view}` : `#/${view}/${encodeURIComponent(order)}`;
}

function decoded(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

export const route = new Route();
