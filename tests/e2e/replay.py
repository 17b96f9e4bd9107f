"""A scripted day through a recording proxy, then every recorded write again: twice, shuffled, and after a restart.

Promises: exit code 0 only where digest, ops, orders, stock, drawer and events are the same after each round, every
accepted write is answered with the status and the content it had and `Idempotency-Replayed`, refused ones are refused
again, and a key with other content is 409. Absent on purpose: writes that were never sent (`reload.test.mjs`).
"""

import http.client
import http.server
import json
import random
import sys
import threading

from kit import Kit, free_port

ITEMS = [
    ("MUG", "--name", "Mug", "--price", "12.50", "--count", "30"),
    ("TEE-M", "--name", "Tee", "--price", "25.00", "--count", "10"),
    ("PIN", "--name", "Pin", "--price", "5.00", "--count", "2"),
    ("BOOK", "--name", "Old book", "--open-price", "true", "--count", "9"),
]
SENT_ON = ("content-type", "idempotency-key", "host")


class Proxy:
    """Passes everything on to the kit, and keeps what was written with how it was answered."""

    def __init__(self, to_port):
        self.records = []
        records = self.records

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.lower() in SENT_ON}
                headers["Host"] = f"localhost:{to_port}"
                link = http.client.HTTPConnection("127.0.0.1", to_port, timeout=20)
                link.request(self.command, self.path, body, headers)
                reply = link.getresponse()
                data = reply.read()
                if self.command != "GET":
                    replayed = reply.getheader("idempotency-replayed")
                    records.append({"method": self.command, "path": self.path, "headers": headers, "body": body,
                                    "status": reply.status, "reply": json.loads(data), "replayed": replayed})
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = pass_on

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Day:
    """What a stall does on a day, refused wishes among it."""

    def __init__(self, kit, port):
        self.kit, self.port, self.keys = kit, port, 0

    def write(self, path, body, wanted=201, method="POST", media="application/json"):
        self.keys += 1
        # Both spellings of keys: a page's own, which is packed, and any other.
        key = f"7ABCDEFG.{self.keys}" if self.keys % 2 else f"day-{self.keys}"
        text = body if isinstance(body, str) else json.dumps(body)
        headers = {"Content-Type": media, "Idempotency-Key": key}
        status, _, reply = self.kit.ask(method, f"/api/v1{path}", text, headers, self.port)
        assert status == wanted, f"{method} {path} {text}: {status} {reply}"
        return reply

    def sell(self, lines, given, wanted=201, **more):
        lines = [{"sku": sku, "quantity": quantity, **extra} for sku, quantity, extra in lines]
        tenders = [{"kind": "cash", "amount": euro(given)}]
        return self.write("/orders", {"lines": lines, "tenders": tenders, **more}, wanted)

    def goes_by(self):
        mug, tee, pin = ("MUG", 1, {}), ("TEE-M", 1, {}), ("PIN", 1, {})
        self.write("/drawer/open", {"amount": euro(10_000)}, 200)
        self.write("/drawer/open", {"amount": euro(10_000)}, 409)
        self.write("/drawer/move", {"direction": "in", "amount": euro(5_000), "reason": "Change fetched"}, 200)
        orders = [self.sell([mug], 2_000) for _ in range(5)]
        orders.append(self.sell([("MUG", 2, {"discount": {"ppm": 100_000}, "discount_reason": "Damaged"}), tee], 10_000))
        orders.append(self.sell([tee, pin], 5_000, discount={"minor": 333}, discount_reason="Friend"))
        orders += [self.sell([pin], 500), self.sell([pin], 500)]
        orders.append(self.sell([("BOOK", 1, {"price": euro(340)})], 400, expected_total=euro(340)))
        reader = {"kind": "card-external", "amount": euro(1_250), "reader": "SumUp", "reference": "TAAA4X9KQ2"}
        self.write("/orders", {"lines": [{"sku": "MUG", "quantity": 1}], "tenders": [reader]})
        by_card = self.write("/orders", {"lines": [{"sku": "MUG", "quantity": 2}], "tenders": [reader, {"kind": "cash", "amount": euro(2_000)}]})
        self.write(f"/orders/{by_card['order_id']}/void", {"reason": "Typed wrongly"})
        self.write("/orders", {"lines": [{"sku": "MUG", "quantity": 1}], "tenders": [{"kind": "card"}]}, 409)
        self.sell([("NOPE", 1, {})], 500, 422)
        self.sell([mug], 1_000, 422)
        self.sell([mug], 2_000, 409, expected_total=euro(1))
        self.sell([("MUG", 0, {})], 500, 422)
        self.write("/orders", {"lines": [{"sku": "MUG", "quantity": 1}], "tenders": [{"kind": "cash", "amount": euro(2_000, "USD")}]}, 422)
        part = self.write(f"/orders/{orders[5]['order_id']}/refund", {"lines": [{"line": 1, "quantity": 1}], "reason": "Wrong size", "tender": "cash", "restock": True})
        self.write(f"/refunds/{part['refunds'][0]['refund_id']}/undo", {}, 200)
        self.write(f"/refunds/{part['refunds'][0]['refund_id']}/undo", {}, 409)
        self.write(f"/orders/{orders[6]['order_id']}/refund", {"lines": None, "reason": "Changed their mind", "restock": False})
        self.write(f"/orders/{orders[6]['order_id']}/refund", {"lines": None, "reason": "Again"}, 409)
        void = self.write(f"/orders/{orders[1]['order_id']}/void", {"reason": "Typed wrongly"})
        self.write(f"/orders/{orders[2]['order_id']}/void", {"reason": "Typed wrongly"})
        self.write(f"/refunds/{void['refunds'][0]['refund_id']}/undo", {}, 200)
        self.write("/items", {"sku": "CAP", "name": "Cap", "price": euro(2_200), "tax_rate": "standard", "open_price": False, "count": 7})
        self.write("/items", {"sku": "CAP", "name": "Cap", "price": euro(2_200), "tax_rate": "standard", "open_price": False, "count": 7}, 409)
        self.write("/items/CAP", {"price": euro(2_000)}, 200, "PATCH")
        self.write("/items/CAP", {"price": euro(2_200)}, 200, "PATCH")
        self.write("/stock/CAP", {"change": 3, "reason": "delivered"}, 200)
        self.write("/stock/CAP", {"change": -1, "reason": "damaged"}, 200)
        self.write("/stock/PIN", {"count": 4, "reason": "counted"}, 200)
        csv = "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Inventory Policy,Variant Price\nhoney,Honey,HONEY,16,deny,7.50\nbad,Bad,BAD,1,deny,x\n"
        self.write("/catalog/import?name=goods.csv", csv, 200, media="text/csv")
        self.sell([("HONEY", 2, {})], 2_000)
        self.write("/drawer/move", {"direction": "out", "amount": euro(1_000), "reason": "Supplier"}, 200)
        expected = self.kit.json("cash", "show")["expected"]["minor"]
        self.write("/drawer/count", {"counted": euro(expected - 200)}, 422)
        self.write("/drawer/count", {"counted": euro(expected - 200), "note": "Parking meter"}, 200)
        new = {"name": "Evening", "zone": "Europe/Berlin", "day_cutover_minutes": 240, "currency": "EUR", "seller": {"name": "S", "address": "", "tax_id": ""},
               "tax_rates": [{"id": "standard", "name": "VAT 19 %", "ppm": 190_000}], "prices": "inclusive"}
        first = self.kit.json("status")["event"]
        evening = self.write("/events", {**new, "clone_from": first})
        self.sell([mug], 2_000)
        self.write("/drawer/open", {"amount": euro(100)}, 200)
        self.write(f"/events/{evening['event_id']}/close", {}, 409)
        self.write("/drawer/count", {"counted": euro(100)}, 200)
        self.write(f"/events/{evening['event_id']}/close", {}, 200)
        self.write(f"/events/{first}/open", {}, 200)
        self.sell([mug], 2_000)


def euro(minor, currency="EUR"):
    return {"minor": minor, "currency": currency}


def again(kit, records, seed):
    """Sends every record twice in another order; says what was answered otherwise."""
    order = records * 2
    random.Random(seed).shuffle(order)
    deviations, replayed = [], 0
    for record in order:
        status, headers, reply = kit.ask(record["method"], record["path"], record["body"], record["headers"])
        name = f"{record['method']} {record['path']} [{record['headers'].get('Idempotency-Key')}]"
        accepted = record["status"] < 300
        if accepted and status != record["status"]:
            deviations.append(f"{name}: {status}, was {record['status']}: {reply}")
        elif accepted and headers.get("idempotency-replayed") != "true" and not chooses(record):
            deviations.append(f"{name}: no Idempotency-Replayed")
        elif accepted and identity(reply) != identity(record["reply"]):
            deviations.append(f"{name}: {identity(reply)}, was {identity(record['reply'])}")
        elif not accepted and (status, reply.get("code")) != (record["status"], record["reply"].get("code")):
            deviations.append(f"{name}: {status} {reply.get('code')}, was refused with {record['status']} {record['reply'].get('code')}")
        replayed += headers.get("idempotency-replayed") == "true"
    return deviations, replayed


def changed(now, before):
    return [f"{part} changed: {value}, was {before[part]}" for part, value in now.items() if value != before[part]]


def chooses(record):
    """Choosing an event is a setting of the kit, not an op: done again it is the same, and no key is kept."""
    return "/events/" in record["path"] and record["path"].endswith("/open")


def identity(reply):
    """What names the thing that was made; its state may have moved on since."""
    names = ("order_id", "receipt", "event_id", "sku", "created", "changed", "rejected", "placed_at", "total", "change")
    return {name: reply[name] for name in names if name in reply}


def other_content(kit, records):
    """The same key with something else: 409, nothing more."""
    deviations = []
    for record in records:
        if record["status"] >= 300 or chooses(record):
            continue
        path, body = record["path"], record["body"]
        if path.startswith("/api/v1/catalog"):
            body += b"x,X,X,1,deny,1\n"
        elif "reason" in json.loads(body) and "/stock/" not in path:
            body = json.dumps({**json.loads(body), "reason": "Something else"}).encode()
        else:
            # Another address with the same key is other content too.
            path, body = "/api/v1/stock/MUG", json.dumps({"change": 1, "reason": "found"}).encode()
            record = {**record, "method": "POST"}
        status, _, reply = kit.ask(record["method"], path, body, record["headers"])
        if status != 409 or reply.get("code") != "key_reused":
            deviations.append(f"other content: {record['method']} {path}: {status} {reply}")
    return deviations


def main():
    program, home, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    kit = Kit(program, f"{home}/data", free_port()).found(*ITEMS).start()
    deviations = []
    try:
        proxy = Proxy(kit.port)
        Day(kit, proxy.port).goes_by()
        records = list(proxy.records)
        before = kit.books()
        refused = sum(record["status"] >= 300 for record in records)
        print(f"recorded: {len(records)} writes, {refused} of them refused; {len(before['orders'])} orders, {before['ops']} ops")
        print(f"digest: {before['digest']}")
        for round_name in ("same daemon", "after a restart", "after a kill"):
            if round_name == "after a restart":
                kit.stop()
                kit.start()
            elif round_name == "after a kill":
                kit.kill()
                kit.start()
            found, replayed = again(kit, records, f"{seed} {round_name}")
            found += changed(kit.books(), before)
            deviations += [f"{round_name}: {each}" for each in found]
            print(f"{round_name}: {2 * len(records)} writes again, {replayed} of them marked as repeated, {len(found)} deviations")
        found = other_content(kit, records)
        found += changed(kit.books(), before)
        deviations += found
        print(f"same keys, other content: {len(found)} deviations")
        kit.stop()
    finally:
        kit.kill()
    for deviation in deviations:
        print(f"deviation: {deviation[:400]}")
    sys.exit(1 if deviations else 0)


main()
