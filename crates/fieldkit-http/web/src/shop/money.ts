// Money: parse what a person types, format what a screen shows.
// Promises: whole minor units only, no floating-point arithmetic; what is ambiguous is an error, never a guess.
import type { Money } from "./types.ts";

/** The largest amount one field takes; far below the safe integers, so sums stay exact. */
export const MINOR_MAX = 1_000_000_000_000;

export type Parsed = { ok: true; value: number } | { ok: false; why: string };

export function money(minor: number, currency: string): Money {
  return { minor, currency };
}

/** Decimal digits of a currency; the daemon's word in /status goes first where it is at hand. */
export function exponentOf(currency: string): number {
  try {
    const options = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions();
    return options.maximumFractionDigits ?? 2;
  } catch {
    return 2;
  }
}

/** "12.50" and "12,50" are both twelve and a half; "1.250" is refused where two digits are the most. */
export function parseMoney(text: string, currency: string, exponent = exponentOf(currency)): Parsed {
  return parseDecimal(text, exponent, currency);
}

/** "19" and "7,5" per cent, as parts per million. */
export function parsePercent(text: string): Parsed {
  const parsed = parseDecimal(text.replace(/\s*%\s*$/u, ""), 4, "A percentage");
  if (parsed.ok && parsed.value > 1_000_000) return { ok: false, why: "More than 100 %." };
  return parsed;
}

function parseDecimal(text: string, digits: number, what: string): Parsed {
  const typed = text.trim();
  if (typed === "") return { ok: false, why: "Nothing typed yet." };
  if (typed.startsWith("-")) return { ok: false, why: "Less than zero is not possible here." };
  if (!/^[0-9.,]+$/u.test(typed)) return { ok: false, why: "Digits only, with one comma or point for the decimals." };
  const parts = typed.split(/[.,]/u);
  if (parts.length > 2) return { ok: false, why: "One comma or point only; leave out the thousands mark." };
  const whole = parts[0] ?? "";
  const fraction = parts[1] ?? "";
  if (whole === "" && fraction === "") return { ok: false, why: "No digits yet." };
  if (fraction.length > digits) {
    const most = digits === 0 ? "no decimals" : `${digits} decimals at most`;
    return { ok: false, why: `${what} has ${most}; this has ${fraction.length}.` };
  }
  const value = BigInt(whole + fraction.padEnd(digits, "0"));
  if (value > BigInt(MINOR_MAX)) return { ok: false, why: "That is more than this till takes." };
  return { ok: true, value: Number(value) };
}

/** 1250 with two digits is "12.50": what an input field is filled with. */
export function decimalText(minor: number, digits: number): string {
  const sign = minor < 0 ? "-" : "";
  const all = Math.abs(minor).toString().padStart(digits + 1, "0");
  if (digits === 0) return sign + all;
  return `${sign}${all.slice(0, -digits)}.${all.slice(-digits)}`;
}

export function percentText(ppm: number): string {
  const text = decimalText(ppm, 4).replace(/0+$/u, "").replace(/\.$/u, "");
  return `${text} %`;
}

const formats = new Map<string, Intl.NumberFormat>();

export function formatMoney(amount: Money, exponent = exponentOf(amount.currency)): string {
  const text = decimalText(amount.minor, exponent);
  try {
    const id = `${amount.currency}/${exponent}`;
    let format = formats.get(id);
    if (format === undefined) {
      format = new Intl.NumberFormat(undefined, {
        style: "currency",
        currency: amount.currency,
        minimumFractionDigits: exponent,
        maximumFractionDigits: exponent,
      });
      formats.set(id, format);
    }
    return format.format(text as Intl.StringNumericLiteral);
  } catch {
    return `${amount.currency} ${text}`;
  }
}

const NOTES: Record<string, number[]> = {
  CHF: [10, 20, 50, 100, 200],
  CZK: [100, 200, 500, 1000, 2000, 5000],
  DKK: [50, 100, 200, 500, 1000],
  GBP: [5, 10, 20, 50],
  HUF: [500, 1000, 2000, 5000, 10_000, 20_000],
  JPY: [1000, 5000, 10_000],
  KRW: [1000, 5000, 10_000, 50_000],
  NOK: [50, 100, 200, 500, 1000],
  PLN: [10, 20, 50, 100, 200, 500],
  SEK: [20, 50, 100, 200, 500, 1000],
  USD: [5, 10, 20, 50, 100],
};
const NOTES_OTHERWISE = [5, 10, 20, 50, 100, 200];

/** What a buyer is likely to hand over for `total`: the next sums reachable with each size of note. */
export function likelyHandovers(total: number, currency: string, exponent = exponentOf(currency)): number[] {
  const unit = 10 ** exponent;
  const sums = new Set<number>();
  for (const note of NOTES[currency] ?? NOTES_OTHERWISE) {
    const size = note * unit;
    const sum = Math.ceil(total / size) * size;
    if (sum > total) sums.add(sum);
  }
  return [...sums].sort((a, b) => a - b).slice(0, 3);
}

/** The largest note: change beyond it means a slip of the finger (or a scanner in the wrong field). */
export function largestNote(currency: string, exponent = exponentOf(currency)): number {
  const notes = NOTES[currency] ?? NOTES_OTHERWISE;
  return (notes.at(-1) ?? 200) * 10 ** exponent;
}
