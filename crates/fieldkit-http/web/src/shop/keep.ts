// Small values kept in the browser's storage, as JSON.
// Promises: a broken or refused storage reads as `null` and never throws; `keep` says whether it worked.

export function kept<T>(storage: Storage, name: string): T | null {
  try {
    const text = storage.getItem(name);
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
}

export function keep(storage: Storage, name: string, value: unknown): boolean {
  try {
    storage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

export function forget(storage: Storage, name: string): void {
  try {
    storage.removeItem(name);
  } catch {
    // Nothing was kept, so nothing is left.
  }
}
