"""A kit for the checks in Python: a data directory, the daemon, the command line, plain HTTP.

Promises: the daemon has announced itself before `start` returns; `stop` is SIGTERM and must end with exit code 0.
Absent on purpose: what is checked.
"""

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time

# What the program remembers of its kits beside their directories stays apart from this user's own.
STATE = tempfile.TemporaryDirectory(prefix="fieldkit-state-")
os.environ["XDG_STATE_HOME"] = STATE.name

READY_S_MAX = 10
STOP_S_MAX = 10
ANSWER_S_MAX = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Kit:
    def __init__(self, program, data, port=None):
        self.program, self.data, self.port = program, data, port or free_port()
        self.daemon = None
        # What the daemon is started by, such as a tracer that leaves it its process id.
        self.prefix = ()
        self.log = f"{data}.log"

    def run(self, *args, wanted=0, **options):
        done = subprocess.run([self.program, "--data", self.data, *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **options)
        assert wanted is None or done.returncode == wanted, f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def json(self, *args):
        return json.loads(self.run(*args, "--json").stdout)

    def found(self, *items):
        self.run("init", "--name", "Corner Stall", "--zone", "Europe/Berlin", "--tax", "standard=190000=VAT 19 %", "--tax", "reduced=70000=VAT 7 %")
        for sku, *options in items:
            self.run("catalog", "set", sku, *options)
        return self

    def start(self, *options):
        log = open(self.log, "a")
        command = [*self.prefix, self.program, "--data", self.data, "up", "--listen", f"127.0.0.1:{self.port}", *options]
        self.daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        end = time.monotonic() + READY_S_MAX
        line = self.daemon.stdout.readline()
        assert line.startswith("READY http://localhost:"), f"no READY but {line!r}: {open(self.log).read()}"
        assert time.monotonic() < end, "READY came late"
        return self

    def stop(self):
        self.daemon.terminate()
        code = self.daemon.wait(timeout=STOP_S_MAX)
        self.daemon = None
        assert code == 0, f"SIGTERM ends with {code}: {open(self.log).read()}"

    def kill(self):
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon = None

    def ask(self, method, path, body=None, headers=(), port=None):
        """Status, headers and body; the body as JSON where it is JSON."""
        link = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=ANSWER_S_MAX)
        data = body.encode() if isinstance(body, str) else body
        link.request(method, path, data, dict(headers))
        reply = link.getresponse()
        raw = reply.read()
        link.close()
        try:
            document = json.loads(raw)
        except ValueError:
            document = raw.decode(errors="replace")
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, document

    def books(self):
        """All that a write could change, as one document."""
        verified = self.json("verify")
        assert verified["ok"] is True, verified
        return {
            "digest": verified.get("digest"),
            "ops": verified["ops"],
            "heads": sorted((head["stream"], head["seq"], head["hash"]) for head in verified["heads"]),
            "orders": self.json("orders"),
            "stock": self.json("stock"),
            "drawer": self.json("cash", "show"),
            "events": self.json("event", "list"),
        }
