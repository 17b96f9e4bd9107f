// Short messages at the foot of the page, at most one, sometimes with an undo.
// Promises: read aloud by screen readers; a message with an undo stays until it is answered or replaced.

export interface Message {
  id: number;
  text: string;
  tone: "good" | "warn";
  undo: (() => void) | null;
}

const STAYS_MS = 5_000;

class Say {
  message = $state<Message | null>(null);
  #next = 1;
  #timer: ReturnType<typeof setTimeout> | undefined;

  good(text: string, undo: (() => void) | null = null): void {
    this.#show(text, "good", undo);
  }

  warn(text: string): void {
    this.#show(text, "warn", null);
  }

  /** On the way to another view: an undo belongs to where it was offered. */
  leave(): void {
    if (this.message?.undo) this.dismiss();
  }

  dismiss(): void {
    clearTimeout(this.#timer);
    this.message = null;
  }

  #show(text: string, tone: Message["tone"], undo: (() => void) | null): void {
    clearTimeout(this.#timer);
    this.message = { id: this.#next++, text, tone, undo };
    if (undo === null) this.#timer = setTimeout(() => this.dismiss(), STAYS_MS);
  }
}

export const say = new Say();
