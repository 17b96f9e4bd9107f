"""Bad use of the command line, as a table: name, options, exit code, words that must be said.

Promises: exit code 1 is a refusal, 2 is wrong usage. Absent on purpose: how rows are judged (`bad_input.py`).
"""


def rows(kit):
    from bad_input import said

    def row(name, wanted, *parts):
        def with_options(*options):
            return f"command: {name}", lambda: said(kit.run(*options, wanted=None), wanted, *parts)

        return with_options

    sell = ("sell", "--tender", "cash=20", "--line")
    yield row("unknown SKU", 1, "hint:")(*sell, "NOPE=1")
    yield row("quantity zero", 1, "hint:")(*sell, "MUG=0")
    yield row("quantity negative", 1, "hint:")(*sell, "MUG=-1")
    yield row("quantity no number", 2)(*sell, "MUG=one")
    yield row("quantity beyond 64 bits", 2)(*sell, "MUG=99999999999999999999")
    yield row("a line without quantity", 2)(*sell, "MUG")
    yield row("too little cash", 1, "hint:")("sell", "--line", "MUG=1", "--tender", "cash=12.49")
    yield row("three decimals", 2)("sell", "--line", "MUG=1", "--tender", "cash=12.505")
    yield row("an amount that overflows", 2)("sell", "--line", "MUG=1", "--tender", "cash=99999999999999999999")
    yield row("a tender of another kind", 2)("sell", "--line", "MUG=1", "--tender", "cheque=20")
    yield row("a card without a terminal", 1, "no card terminal", "hint:")("sell", "--line", "MUG=1", "--tender", "card")
    yield row("a reader without a reference", 2)("sell", "--line", "MUG=1", "--tender", "card-external=12.50")
    yield row("a card number as a reference", 1, "hint:")("sell", "--line", "MUG=1", "--tender", "card-external=12.50:4111111111111111")
    yield row("no tender", 2)("sell", "--line", "MUG=1")
    yield row("a discount beyond 100 %", 2)(*sell, "MUG=1", "--discount", "101%", "--discount-reason", "x")
    yield row("a discount without reason", 1, "hint:")(*sell, "MUG=1", "--discount", "10%")
    yield row("refund of an unknown order", 1, "hint:")("refund", "--order", "4242", "--reason", "x")
    yield row("undo of an unknown refund", 1, "hint:")("refund", "--undo", "NOPE")
    yield row("cash out of a closed drawer", 1, "hint:")("cash", "out", "5", "--reason", "x")
    yield row("stock of an unknown item", 1, "hint:")("stock", "--set", "NOPE=1")
    yield row("an item in an unknown tax rate", 1, "hint:")("catalog", "set", "X", "--name", "X", "--price", "1", "--tax-rate", "none")
    yield row("a file that is not there", 1, "/nowhere.csv")("catalog", "import", "/nowhere.csv")
    yield row("an unknown event", 1, "hint:")("event", "open", "NOPE")
    yield row("an unknown event to close", 1, "no event", "hint:")("event", "close", "NOPE")
    yield row("an unknown event to clone", 1, "no event", "hint:")("event", "create", "--name", "X", "--clone", "NOPE")
    yield row("a command that is not known", 2)("sel")
    yield row("an option that is not known", 2)("status", "--jsn")
    yield row("serving other machines", 2, "loopback")("up", "--listen", "0.0.0.0:18999")
    yield row("an address that is none", 2)("up", "--listen", "nowhere")
    yield row("a port that is taken", 1, str(kit.port))("up", "--listen", f"127.0.0.1:{kit.port}")
    yield row("a new item without name and price", 2, "--name and --price are missing")("catalog", "set", "NEW", "--count", "3")
    yield row("a new item without price", 2, "--price is missing")("catalog", "set", "NEW", "--name", "New")
    yield row("a reason that is none", 2, "delivered", "counted", "found", "damaged", "lost")("stock", "--set", "MUG=1", "--reason", "foo")
    yield row("a device of a role that is none", 2, "nearest is terminal")("up", "--device", "terminl=telium:/dev/a")
    yield row("a device URL that is none", 2, "nearest is telium:")("up", "--device", "terminal=teleum:/dev/a")
    yield row("a device for another role", 2, "role terminal")("up", "--device", "printer=telium:/dev/a")
    yield row("a device that is not supported yet", 2, "not supported yet")("up", "--device", "locker=modbus:/dev/a?unit=1")
    yield row("two devices for one role", 2, "two devices")("up", "--device", "terminal=telium:/dev/a", "--device", "terminal=zvt+tcp://h")
    yield row("adding a device without its URL", 2, "--from-scan")("device", "add", "terminal")
    yield row("a number that the scan does not have", 1, "device scan")("device", "add", "terminal", "--from-scan", "9999")
    yield row("a forged receipt", 1)("verify", "--receipt", "FK1.NOPE", "--key", "/dev/null")
    yield row("a forged receipt of this kit", 1)("verify", "--receipt", "FK1.NOPE")
    yield row("words of another organisation", 1)("keys", "--check-words")
