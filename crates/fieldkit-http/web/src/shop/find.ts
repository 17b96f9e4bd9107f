// Finding goods by what a person or a scanner types.
// Promises: an exact SKU or barcode names at most one; the search looks at every word, accents and case aside.
import type { Item } from "./types.ts";

export function named(items: Item[], code: string): Item | undefined {
  const wanted = code.trim();
  return (
    items.find((item) => item.barcode === wanted) ??
    items.find((item) => item.sku === wanted) ??
    items.find((item) => item.sku.toLowerCase() === wanted.toLowerCase())
  );
}

export function found(items: Item[], text: string): Item[] {
  const words = folded(text).split(/\s+/u).filter((word) => word !== "");
  if (words.length === 0) return items;
  return items.filter((item) => {
    const options = item.options.map(([, value]) => value).join(" ");
    const all = folded(`${item.name} ${item.product ?? ""} ${options} ${item.sku} ${item.barcode ?? ""}`);
    return words.every((word) => all.includes(word));
  });
}

function folded(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
