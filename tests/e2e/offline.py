"""Whether this process has a network. Promises: an error, not a word, where there is a way out. Absent: namespaces."""

import socket


def only_loopback():
    """There is no way out of here; a check of the check. Returns the error that says so."""
    names = [name for _, name in socket.if_nameindex()]
    assert names == ["lo"], f"other interfaces are here: {names}"
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    except OSError as error:
        return error
    raise AssertionError("192.0.2.1 can be reached")
