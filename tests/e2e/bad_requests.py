"""Bad requests over HTTP, as a table: name, what is sent, status and code that must come.

Promises: one row is one cause. Absent on purpose: how rows are judged (`bad_input.py`).
"""

import json
import socket


def rows(kit):
    from bad_input import problem

    keys = iter(range(1_000_000))

    def row(name, status, code, path, body, method="POST", **headers):
        def look():
            sent = {"Content-Type": "application/json", "Idempotency-Key": f"bad-{next(keys)}"}
            sent.update({key.replace("_", "-"): value for key, value in headers.items()})
            sent = {key: value for key, value in sent.items() if value is not None}
            text = body if isinstance(body, (str, bytes)) else json.dumps(body)
            found = kit.ask(method, f"/api/v1{path}", text, sent)
            return problem(*found, status, code)

        return f"{name}", look

    def raw(name, status, code, text):
        def look():
            with socket.create_connection(("127.0.0.1", kit.port), timeout=10) as link:
                link.sendall(text.replace("PORT", str(kit.port)).encode())
                data = b""
                while chunk := link.recv(65536):
                    data += chunk
            head, _, body = data.partition(b"\r\n\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
            return problem(int(head.split()[1]), headers, json.loads(body), status, code)

        return name, look

    yield from sales(row)
    yield from amends(kit, row)
    yield from goods(row)
    yield from forms(row)
    yield raw("two Host headers", 421, "wrong_host", "GET /api/v1/status HTTP/1.1\r\nHost: localhost:PORT\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    yield raw("the address of another host", 421, "wrong_host", "GET http://evil.example/api/v1/status HTTP/1.1\r\nHost: localhost:PORT\r\nConnection: close\r\n\r\n")


def euro(minor, currency="EUR"):
    return {"minor": minor, "currency": currency}


def order(sku="MUG", quantity=1, given=2_000, currency="EUR", line=None, **more):
    lines = [{"sku": sku, "quantity": quantity, **(line or {})}]
    return {"lines": lines, "tenders": [{"kind": "cash", "amount": euro(given, currency)}], **more}


def sales(row):
    at = "/orders"
    yield row("unknown SKU", 422, "unknown_sku", at, order("NOPE"))
    yield row("quantity zero", 422, "quantity", at, order(quantity=0))
    yield row("quantity negative", 422, "quantity", at, order(quantity=-1))
    yield row("quantity huge", 422, "quantity", at, order(quantity=10**9))
    yield row("quantity beyond 64 bits", 422, "field", at, order(quantity=2**70))
    yield row("quantity a fraction", 422, "field", at, order(quantity=1.5))
    yield row("quantity a text", 422, "field", at, order(quantity="1"))
    yield row("quantity not a number", 400, "json", at, '{"lines":[{"sku":"MUG","quantity":NaN}],"tenders":[]}')
    yield row("a total beyond the limit", 422, "amount", at, order("GOLD", 100_000, 100))
    yield row("amount a float", 422, "field", at, order(given=20.5))
    yield row("amount negative", 422, "amount", at, order(given=-2_000))
    yield row("amount beyond 64 bits", 422, "field", at, order(given=2**63))
    yield row("wrong currency in the tender", 422, "wrong_currency", at, order(currency="USD"))
    yield row("unknown currency in the tender", 422, "field", at, order(currency="EURO"))
    yield row("tender less than the total", 422, "tender_missing", at, order(given=1_249))
    yield row("no tender", 422, "tender_missing", at, {**order(), "tenders": []})
    yield row("a tender of another kind", 422, "field", at, {**order(), "tenders": [{"kind": "cheque", "amount": euro(2_000)}]})
    yield row("a card without a terminal", 409, "no_terminal", at, {**order(), "tenders": [{"kind": "card"}]})
    yield row("cash without an amount", 422, "field", at, {**order(), "tenders": [{"kind": "cash"}]})
    yield row("a reader without a reference", 422, "field", at, {**order(), "tenders": [{"kind": "card-external", "amount": euro(1_250)}]})
    yield row("a card number as a reference", 422, "card_number", at, {**order(), "tenders": [{"kind": "card-external", "amount": euro(1_250), "reference": "4111 1111 1111 1111"}]})
    yield row("another total than expected", 409, "total_differs", at, order(expected_total=euro(1_251)))
    yield row("an expected total in another currency", 422, "wrong_currency", at, order(expected_total=euro(1_250, "USD")))
    yield row("no lines", 422, "lines", at, {**order(), "lines": []})
    yield row("too many lines", 422, "lines", at, {**order(), "lines": order()["lines"] * 501})
    yield row("a price for an item of fixed price", 422, "price_fixed", at, order(line={"price": euro(1)}))
    yield row("no price for an item of open price", 422, "price_missing", at, order("BOOK"))
    yield row("an open price below zero", 422, "amount", at, order("BOOK", line={"price": euro(-1)}))
    yield row("discount without reason", 422, "discount_reason", at, order(discount={"ppm": 100_000}))
    yield row("discount of more than there is", 422, "discount", at, order(discount={"minor": 1_251}, discount_reason="x"))
    yield row("discount below zero", 422, "discount", at, order(discount={"minor": -1}, discount_reason="x"))
    yield row("discount beyond 100 %", 422, "discount", at, order(discount={"ppm": 1_000_001}, discount_reason="x"))
    yield row("discount both ways", 422, "field", at, order(discount={"ppm": 1, "minor": 1}, discount_reason="x"))
    yield row("a line's discount of more than the line", 422, "discount", at, order(line={"discount": {"minor": 9_999}, "discount_reason": "x"}))
    yield row("a field that does not exist", 422, "field", at, order(expected_totl=euro(1_250)))
    yield row("a time that is none", 422, "field", at, order(cart_opened_at="yesterday"))


def amends(kit, row):
    order_id = kit.json("orders")[0]["order_id"]
    refund = lambda **body: {"lines": None, "reason": "x", **body}
    at = f"/orders/{order_id}"
    yield row("refund of an unknown order", 404, "unknown_order", "/orders/9999/refund", refund())
    yield row("refund of an order that is no id", 404, "unknown_order", "/orders/%20/refund", refund())
    yield row("refund of more than was sold", 422, "refund_quantity", f"{at}/refund", refund(lines=[{"line": 1, "quantity": 3}]))
    yield row("refund of nothing", 422, "field", f"{at}/refund", refund(lines=[{"line": 1, "quantity": 0}]))
    yield row("refund of an unknown line", 422, "unknown_line", f"{at}/refund", refund(lines=[{"line": 9, "quantity": 1}]))
    yield row("refund without reason", 422, "text", f"{at}/refund", refund(reason=""))
    yield row("refund with a reason too long", 422, "text", f"{at}/refund", refund(reason="x" * 81))
    yield row("void of an unknown order", 404, "unknown_order", "/orders/9999/void", {"reason": "x"})
    yield row("undo of an unknown refund", 404, "unknown_refund", "/refunds/NOPE/undo", {})
    yield row("cash moved in a closed drawer", 409, "drawer_closed", "/drawer/move", {"direction": "in", "amount": euro(1), "reason": "x"})
    yield row("a closed drawer counted", 409, "drawer_closed", "/drawer/count", {"counted": euro(1)})
    yield row("a drawer opened with less than nothing", 422, "amount", "/drawer/open", {"amount": euro(-1)})
    yield row("a drawer opened in another currency", 422, "wrong_currency", "/drawer/open", {"amount": euro(1, "USD")})


def goods(row):
    item = {"sku": "NEW", "name": "New", "price": euro(1), "tax_rate": "standard", "open_price": False, "count": 1}
    yield row("an item whose SKU is taken", 409, "sku_taken", "/items", {**item, "sku": "MUG"})
    yield row("an item without a name", 422, "text", "/items", {**item, "name": ""})
    yield row("an item with a control character", 422, "text", "/items", {**item, "name": "a\u0007b"})
    yield row("an item of an unknown tax rate", 422, "tax_rates", "/items", {**item, "tax_rate": "none"})
    yield row("an item with a negative count", 422, "stock_change", "/items", {**item, "count": -1})
    yield row("an unknown item changed", 422, "unknown_sku", "/items/NOPE", {"name": "x"}, "PATCH")
    yield row("an item changed in nothing", 422, "field", "/items/MUG", {}, "PATCH")
    yield row("a price in another currency", 422, "wrong_currency", "/items/MUG", {"price": euro(1, "USD")}, "PATCH")
    yield row("stock of an unknown item", 422, "unknown_sku", "/stock/NOPE", {"change": 1, "reason": "found"})
    yield row("stock changed by nothing", 422, "stock_change", "/stock/MUG", {"change": 0, "reason": "found"})
    yield row("stock both ways", 422, "field", "/stock/MUG", {"change": 1, "count": 1, "reason": "found"})
    yield row("an address that is no UTF-8", 400, "path", "/stock/%ff", {"change": 1, "reason": "found"})
    event = {"name": "E", "zone": "Europe/Berlin", "currency": "EUR", "seller": {"name": "S", "address": "", "tax_id": ""}, "tax_rates": []}
    yield row("an event in an unknown zone", 422, "unknown_zone", "/events", {**event, "zone": "Mars/Base"})
    yield row("an event in an unknown currency", 422, "unknown_currency", "/events", {**event, "currency": "XXY"})
    yield row("an event like an unknown one", 404, "unknown_event", "/events", {**event, "clone_from": "NOPE"})
    yield row("an unknown event closed", 404, "unknown_event", "/events/NOPE/close", {})
    csv = {"Content_Type": "text/csv"}
    at = "/catalog/import?name=x.csv"
    yield row("a file without a head", 422, "catalogue_file", at, "\n\n", **csv)
    yield row("an empty file", 422, "catalogue_file", at, "", **csv)
    yield row("a file that is a picture", 422, "catalogue_file", at, b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", **csv)
    yield row("a file with a quote left open", 422, "catalogue_file", at, 'Handle,Title,Variant Price\na,"A,1\n', **csv)
    yield row("a file of 17 MiB", 413, "too_large", at, b"x" * (17 << 20), **csv)
    yield row("a file sent as JSON", 415, "media_type", at, "{}")


def forms(row):
    # Several times: an answer in the middle of a body reaches its sender only where the rest is read too.
    for at in range(1, 11):
        yield row(f"a body of 2 MiB, {at} of 10", 413, "too_large", "/orders", "x" * (2 << 20))
    yield row("a body that is no JSON", 400, "json", "/orders", '{"lines": [')
    yield row("a body that nests too deep", 400, "json", "/orders", "[" * 100_000)
    yield row("a body of another type", 415, "media_type", "/orders", "a=b", Content_Type="application/x-www-form-urlencoded")
    yield row("a list for a body", 422, "field", "/orders", [])
    yield row("a write without a key", 400, "key_missing", "/orders", order(), Idempotency_Key=None)
    yield row("a key with a space", 400, "key_form", "/orders", order(), Idempotency_Key="a b")
    yield row("a key of 100 characters", 400, "key_form", "/orders", order(), Idempotency_Key="k" * 100)
    yield row("a Host of another name", 421, "wrong_host", "/orders", order(), Host="evil.example")
    yield row("an Origin of another name", 403, "cross_site", "/orders", order(), Origin="http://evil.example")
    yield row("an Origin of another port", 403, "cross_site", "/orders", order(), Origin="http://localhost:1")
    yield row("a page of another site", 403, "cross_site", "/orders", order(), Sec_Fetch_Site="cross-site")
    yield row("a method that is not known", 405, "method", "/orders", "", "DELETE")
    yield row("an address that is not known", 404, "not_found", "/nothing", {})
    yield row("a list of no orders", 422, "field", "/orders?limit=0", "", "GET")
    yield row("a list before nothing", 404, "unknown_order", "/orders?before=NOPE", "", "GET")
    yield row("an unknown order", 404, "unknown_order", "/orders/424242", "", "GET")
    yield row("a picture that is none", 404, "not_found", "/images/../../etc/passwd", "", "GET")
    yield row("a witness that saw nothing", 422, "field", "/witness", {})
