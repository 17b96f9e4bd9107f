// Idempotency keys of this tab: CLIENT.COUNTER.
// Promises: no key is handed out twice, over reloads and over duplicated tabs.

const CLIENT = "fieldkit.client";
const COUNTER = "fieldkit.counter";
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

let client = "";
let counter = 0;

/** Call once, before the first key. A duplicated tab inherits the storage of its parent, so it takes a new name. */
export async function claimTab(): Promise<void> {
  client = sessionStorage.getItem(CLIENT) ?? "";
  counter = Number(sessionStorage.getItem(COUNTER) ?? "0");
  if (client === "" || !Number.isSafeInteger(counter) || !(await isMine(client))) {
    client = newClient();
    counter = 0;
    await isMine(client);
  }
  sessionStorage.setItem(CLIENT, client);
}

export function nextKey(): string {
  if (client === "") client = newClient();
  counter += 1;
  sessionStorage.setItem(CLIENT, client);
  sessionStorage.setItem(COUNTER, String(counter));
  return `${client}.${counter}`;
}

/** Holds a lock for as long as the tab lives; false when another tab holds it. */
function isMine(name: string): Promise<boolean> {
  if (!("locks" in navigator)) return Promise.resolve(true);
  return new Promise((resolve) => {
    navigator.locks
      .request(`fieldkit.tab.${name}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock === null ? undefined : new Promise<void>(() => {});
      })
      .catch(() => resolve(true));
  });
}

function newClient(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => ALPHABET[byte % 32]).join("");
}
