// The QR on the receipt is the signed receipt itself: decoded from the screen, checked with the public key alone.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import jsqr from "jsqr";
import { stall } from "./lib/stall.mjs";
import { until } from "./lib/wait.mjs";

const SIDE = 1120;

/** Draws the picture as the browser shows it and reads the code in it. */
async function decoded(till) {
  const picture = till.id("receipt-qr");
  await until("the picture", () => picture.evaluate((img) => img.complete && img.naturalWidth > 0));
  const bytes = await picture.evaluate((img, side) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const paper = canvas.getContext("2d");
    paper.fillStyle = "white";
    paper.fillRect(0, 0, side, side);
    paper.imageSmoothingEnabled = false;
    paper.drawImage(img, 40, 40, side - 80, side - 80);
    const data = paper.getImageData(0, 0, side, side).data;
    let text = "";
    for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
    return btoa(text);
  }, SIDE);
  const found = jsqr.default?.(new Uint8ClampedArray(Buffer.from(bytes, "base64")), SIDE, SIDE) ?? jsqr(new Uint8ClampedArray(Buffer.from(bytes, "base64")), SIDE, SIDE);
  return found?.data;
}

stall("decoded, equal to the API's token, genuine, and refused with one character changed", async ({ kit, till }) => {
  await till.add("MUG", 2);
  await till.add("TEE-M");
  await till.discount("line-discount-MUG", "10", "Damaged");
  await till.give("60");
  await till.pay();
  const [order] = kit.orders();
  const token = await decoded(till);
  assert.equal(token, order.receipt_token);
  const keys = `${kit.data}.keys.json`;
  writeFileSync(keys, kit.run(["keys", "--public", "--json"]).stdout);
  const genuine = kit.json(["verify", "--receipt", token, "--key", keys]);
  assert.equal(genuine.ok, true);
  assert.equal(genuine.total.minor, order.total.minor);
  assert.equal(genuine.order_id, order.order_id);
  assert.deepEqual(kit.json(["verify", "--receipt", token]), genuine, "its own kit needs no key file");
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  // Each place once: no character of the token can be another one.
  for (let at = 0; at < token.length; at += Math.max(1, Math.floor(token.length / 12))) {
    const other = [...alphabet].find((letter) => letter !== token[at].toUpperCase());
    const forged = token.slice(0, at) + other + token.slice(at + 1);
    const verdict = kit.run(["verify", "--receipt", forged, "--key", keys], { wanted: 1 });
    assert.match(verdict.stderr, /error: /u, `place ${at}`);
  }
});
