// Tells a scanner from a hand by its speed.
// Promises: pure; time arrives with each key. A burst is a run of quick characters; a single key is a shortcut.

/** A scanner leaves 1 to 20 ms between keys; fast typists rarely go below 60 ms. */
export const BURST_GAP_MS = 35;
/** Fewer characters than this inside an amount field are a hand's; the shortest EAN has eight. */
export const BURST_IN_FIELD_MIN = 8;
/** Outside a field three quick characters and Enter are enough. */
export const BURST_FREE_MIN = 3;
/** Some scanners send Enter twice (or CR and LF). */
export const EXTRA_ENTER_MS = 400;

export class Burst {
  #text = "";
  #last_ms = Number.NEGATIVE_INFINITY;
  #scanned_ms = Number.NEGATIVE_INFINITY;

  /** Takes one character; returns true when it starts a new run. */
  key(character: string, at_ms: number): boolean {
    const fresh = at_ms - this.#last_ms > BURST_GAP_MS;
    this.#text = fresh ? character : this.#text + character;
    this.#last_ms = at_ms;
    return fresh;
  }

  /** Takes Enter; returns the scanned text, "" for the extra Enter of a scan, or null for a hand's Enter. */
  enter(at_ms: number, least: number): string | null {
    const text = this.#text;
    const quick = at_ms - this.#last_ms <= BURST_GAP_MS * 2;
    this.#text = "";
    this.#last_ms = Number.NEGATIVE_INFINITY;
    if (quick && text.length >= least) {
      this.#scanned_ms = at_ms;
      return text;
    }
    return at_ms - this.#scanned_ms <= EXTRA_ENTER_MS ? "" : null;
  }

  /** The run so far, and an end to it. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    this.#last_ms = Number.NEGATIVE_INFINITY;
    return text;
  }

  get length(): number {
    return this.#text.length;
  }
}
