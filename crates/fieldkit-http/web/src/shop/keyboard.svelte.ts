// The keyboard of the whole page: shortcuts and scanners.
// Promises: a scan never presses a key on the screen and never lands in an amount; it goes to the search of the sell view.
import { Burst, BURST_FREE_MIN, BURST_GAP_MS, BURST_IN_FIELD_MIN } from "./burst.ts";
import { checkout } from "./checkout.svelte.ts";
import { route } from "./route.svelte.ts";

class Keyboard {
  help = $state(false);
  /** Set by the sell view while it is on screen. */
  sell: { scan(code: string): void; search(text: string): void; payment(): void } | null = null;
  #waiting_scan: string | null = null;
  #burst = new Burst();
  #shortcut: ReturnType<typeof setTimeout> | undefined;
  #before: { field: HTMLInputElement; value: string } | null = null;

  start(): void {
    window.addEventListener("keydown", (event) => this.#down(event), { capture: true });
  }

  /** The sell view asks on arrival: a scan made elsewhere brought the operator here. */
  takeWaitingScan(): string | null {
    const code = this.#waiting_scan;
    this.#waiting_scan = null;
    return code;
  }

  #down(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.key === "F2") {
      event.preventDefault();
      this.#pay();
    } else if (event.key === "Enter") {
      this.#enter(event);
    } else if (event.key.length === 1) {
      this.#character(event);
    }
  }

  #character(event: KeyboardEvent): void {
    if (event.repeat) return;
    const field = fieldOf(event.target);
    const fresh = this.#burst.key(event.key, event.timeStamp);
    if (field !== null) {
      if (fresh) this.#before = field instanceof HTMLInputElement ? { field, value: field.value } : null;
      return;
    }
    // Inside a burst a space must not press the focused key, and "/" must not open the browser's own search.
    if (!fresh || event.key === "/" || event.key === "?") event.preventDefault();
    clearTimeout(this.#shortcut);
    const dialog = document.querySelector("dialog[open]") !== null;
    this.#shortcut = setTimeout(() => this.#settle(dialog), BURST_GAP_MS * 2);
  }

  /** No further key came: one character is a shortcut, several are the start of a search. */
  #settle(dialog: boolean): void {
    const text = this.#burst.take();
    if (dialog) return;
    if (text.length > 1) {
      if (route.view === "sell") this.sell?.search(text);
      return;
    }
    if (text === "/") {
      if (route.view !== "sell") route.go("sell");
      setTimeout(() => this.sell?.search(""));
    } else if (text === "?") {
      this.help = true;
    } else if (text === "p") {
      this.#pay();
    } else if (text === "n" && route.view === "orders" && route.order !== null) {
      checkout.newSale();
    }
  }

  #enter(event: KeyboardEvent): void {
    clearTimeout(this.#shortcut);
    const field = fieldOf(event.target);
    const scans = field?.dataset["scan"];
    if (scans === "take" || field instanceof HTMLTextAreaElement) {
      this.#burst.take();
      return;
    }
    const code = this.#burst.enter(event.timeStamp, field === null ? BURST_FREE_MIN : BURST_IN_FIELD_MIN);
    if (code === null) {
      // A held Enter presses a key once, not until the finger comes off.
      if (event.repeat) stop(event);
      return;
    }
    stop(event);
    if (code === "" || document.querySelector("dialog[open]") !== null) return;
    if (field !== null) {
      if (scans !== "reject" && scans !== "search") return;
      // A scan into the search stands alone, whatever was typed before it; an amount is put back as it was.
      if (scans === "reject" && this.#before?.field === field) {
        field.value = this.#before.value;
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
    }
    this.#scan(code);
  }

  #scan(code: string): void {
    if (this.sell !== null && route.view === "sell") {
      this.sell.scan(code);
      return;
    }
    this.#waiting_scan = code;
    checkout.newSale();
  }

  #pay(): void {
    if (route.view !== "sell") route.go("sell");
    setTimeout(() => this.sell?.payment());
  }
}

/** A field that takes text; buttons, check boxes and the like are not. */
function fieldOf(target: EventTarget | null): HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement | null {
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return target;
  if (target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit", "file"].includes(target.type)) return target;
  return null;
}

function stop(event: KeyboardEvent): void {
  event.preventDefault();
  event.stopPropagation();
}

export const keyboard = new Keyboard();
