#!/usr/bin/env python3
"""A second reader of golden ops, written from the format's words and sharing no code with the first.

Decodes `op/*.hex` to JSON and compares with the renderings beside them; checks the chain's hashes with BLAKE3.
Usage: decode.py [--write]   (--write makes renderings that are missing and changes none)
Needs Python 3.11 and the package blake3.
"""
import json, pathlib, sys
import blake3

OP_FIELDS = "version:v1 stream:b16 seq:u prev:b32 lamport:u stamp:Stamp deps:[Dep actor:Actor key:?CommandKey " \
            "postings:[Posting kind:u body:bytes"
RECORDS = {
    "Stamp": "physical_ms:u counter:u quality:u", "OpId": "stream:b16 seq:u", "Dep": "op:OpId hash:b32",
    "CommandKey": "key:bytes fingerprint:b16", "Posting": "account:u unit:Unit amount:i",
    "Seller": "name:s address:s tax_id:s", "TaxRate": "id:s name:s ppm:u",
    "UnitRange": "pool:b16 first:u count:u generation:u", "Source": "till:s campaign:s session:s variant:s",
    "Line": "sku:s name:s quantity:u unit_price:i discount:i discount_reason:s order_discount:i tax_rate:s tax_ppm:u "
            "tax:i owner:s units:[UnitRange",
    "RefundLine": "line:u quantity:u amount:i tax:i", "Pair": "a:s b:s", "Rejected": "line:u reason:s",
    "Link": "replica:b32 op:bytes signature:b64", "CardTender": "payment:OpId amount:i", "TerminalAnswer": "code:u text:s", "Closing": "charged:u evidence:s",
    "Baseline": "terminal_id:?s last_receipt:?u last_trace:?u last_date:?u last_time:?u",
    "TerminalRecord": "kind:u terminal_id:s receipt:u trace:u amount:i currency:c3 date:?u time:?u card_name:s "
                      "masked_pan:s authorisation:s result:b1 reversed_trace:?u",
}
CHOICES = {
    "Actor": {0: "u", 1: "OpId"}, "Unit": {0: "c3", 1: "b16"}, "Space": {0: "u", 1: "OpId", 2: "OpId"},
    "Tender": {0: "i", 1: "CardTender", 2: "CardTender"}, "Plan": {0: "i", 1: "i", 2: "i"},
    "PaymentStep": {0: "Baseline", 1: "TerminalRecord", 2: "u", 3: "TerminalAnswer", 4: "u", 5: "s", 6: "s",
                    7: "TerminalRecord", 8: "TerminalRecord", 9: "s", 10: "Baseline", 11: "TerminalRecord",
                    12: "TerminalAnswer", 13: "s", 14: "Closing"},
    "Fiscal": {0: "u", 1: "u", 2: "s", 3: "bytes"},
    "Edit": {0: "s", 1: "i", 2: "s", 3: "o", 4: "s", 5: "?b32", 6: "s", 7: "[Pair", 8: "u", 9: "s", 10: "o"},
}
BODIES = {
    1: "replica:b32 space:Space follows:?b32", 2: "name:s key:b32", 3: "replica:b32 label:s admitted_by:b32 proof:b64",
    4: "commitment:b32", 5: "person:OpId role:u",
    6: "name:s zone:s day_cutover_minutes:u currency:c3 seller:Seller tax_rates:[TaxRate prices:u training:o "
       "fold_version:u cloned_from:?OpId",
    7: "event:OpId", 8: "event:OpId fold_version:u", 9: "witness:s stream:b16 seen:u found:u",
    10: "code:s detail:s next_step:s", 11: "role:u driver:s identity:s label:s", 12: "device:OpId", 16: "sku:s edits:[Edit import_mark:?b16", 17: "sku:s change:i reason:u",
    18: "file:s created:u changed:u unchanged:u rejected:[Rejected warnings:[s",
    32: "receipt:u currency:c3 prices:u lines:[Line discount:i discount_reason:s total:i tenders:[Tender change:i "
        "source:Source cart_opened_ms:?u paid_ms:u business_day:i fiscal:Fiscal",
    33: "order:OpId kind:u receipt:u lines:[RefundLine amount:i reason:s restock:o business_day:i",
    34: "order:OpId refund:OpId receipt:u business_day:i",
    35: "currency:c3 prices:u lines:[Line discount:i discount_reason:s total:i planned:[Plan source:Source "
        "cart_opened_ms:?u business_day:i",
    36: "order:OpId receipt:u tenders:[Tender change:i paid_ms:u business_day:i fiscal:Fiscal",
    37: "order:OpId reason:s", 48: "amount:i", 49: "direction:u amount:i reason:s",
    50: "counted:i expected:i note:s", 64: "order:OpId tender:u amount:i currency:c3 device:?OpId label:s",
    65: "order:OpId payment:OpId step:PaymentStep", 66: "order:OpId amount:i currency:c3 reader:s reference:s",
    67: "device:?OpId record:TerminalRecord", 68: "found:OpId note:s",
    80: "sku:s to:b32 ranges:[UnitRange reason:s answers:?OpId", 81: "order:OpId to:b32 ranges:[UnitRange",
    82: "order:OpId ranges:[UnitRange", 83: "sku:s ranges:[UnitRange reason:u",
    84: "sku:s holder:b32 ranges:[UnitRange risk:s", 85: "witnesses:[b16 lost:[b16 at_risk:u nonce:b16",
    86: "how:u seen:u pools:[b16 ranges:[UnitRange nonce:b16", 87: "label:s", 88: "sku:s of:b32 quantity:u",
    89: "holder:b32 on_behalf:b32 seen:u",
    90: "sku:s to:b32 ranges:[UnitRange term_ms:u confirmed_ms:?u reason:s",
    91: "sku:s lease:OpId holder:b32 ranges:[UnitRange",
}


class Input:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise ValueError("the bytes end in the middle of a value")
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                if byte == 0 and shift or value >> 64:
                    raise ValueError("a number is not in its shortest form")
                return value
            shift += 7

    def value(self, form):
        if form[0] == "[":
            return [self.value(form[1:]) for _ in range(self.varint())]
        if form[0] == "?":
            return self.value(form[1:]) if self.value("o") else None
        if form in RECORDS:
            return self.record(RECORDS[form])
        if form in CHOICES:
            tag = self.varint()
            return {str(tag): self.value(CHOICES[form][tag])}
        if form == "u":
            return self.varint()
        if form == "i":
            zigzag = self.varint()
            return zigzag >> 1 if zigzag % 2 == 0 else -(zigzag >> 1) - 1
        if form == "o":
            return {0: False, 1: True}[self.take(1)[0]]
        if form == "s":
            return self.take(self.varint()).decode("utf-8", "strict")
        if form == "bytes":
            return self.take(self.varint()).hex()
        if form == "v1":
            return {1: 1}[self.take(1)[0]]
        if form == "c3":
            return self.take(3).decode("ascii")
        return self.take(int(form[1:])).hex()

    def record(self, fields):
        return {name: self.value(form) for name, form in (field.split(":") for field in fields.split())}

    def end(self, value):
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes follow the value")
        return value


def read(data):
    """An op, whether its postings balance or not."""
    op = Input(data)
    op = op.end(op.record(OP_FIELDS))
    if op["kind"] in BODIES:
        body = Input(bytes.fromhex(op["body"]))
        op["body"] = body.end(body.record(BODIES[op["kind"]]))
    return op


def imbalance(op):
    """Units whose postings do not sum to zero, with their sums."""
    sums = {}
    for posting in op["postings"]:
        unit = json.dumps(posting["unit"])
        sums[unit] = sums.get(unit, 0) + posting["amount"]
    return {unit: amount for unit, amount in sums.items() if amount}


def decode(data):
    op = read(data)
    assert not imbalance(op), "the postings do not balance"
    return op


def main():
    folder, checked, prev = pathlib.Path(__file__).parent / "op", 0, bytes(32)
    for path in sorted(folder.glob("*.hex")):
        data = bytes.fromhex(path.read_text().replace("\n", ""))
        if path.stem.startswith("head-"):
            head = Input(data)
            value = head.end(head.record("seq:u hash:b32 signature:b64"))
            chained = bytes.fromhex((folder / f"chain-{value['seq']}.hex").read_text().replace("\n", ""))
            assert value["hash"] == blake3.blake3(chained).hexdigest(), f"{path.name}: not the hash of its op"
        elif path.stem == "grant-proof":
            proof = Input(data)
            value = proof.end(proof.record("space:Space links:[Link"))
            for link in value["links"]:
                link["op"] = decode(bytes.fromhex(link["op"]))
        else:
            value = decode(data)
        if path.stem.startswith("chain-"):
            assert value["prev"] == prev.hex(), f"{path.name}: does not continue the chain"
            prev = blake3.blake3(data).digest()
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        rendering = path.with_suffix(".json")
        if "--write" in sys.argv and not rendering.exists():
            rendering.write_text(text)
        assert rendering.read_text() == text, f"{rendering.name} says something else than {path.name}"
        checked += 1
    assert checked >= len(BODIES) + 26, "golden files are missing"
    print(f"{checked} passed, 0 failed")


if __name__ == "__main__":
    main()
