"""Ed25519 signatures (RFC 8032), verified with whole numbers alone.

Promises: strict in the one way that matters here: a signature has one form (s below the group's order).
Absent on purpose: resistance to whoever measures time: no key here is secret.
"""

import hashlib

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT_OF_MINUS_1 = pow(2, (PRIME - 1) // 4, PRIME)
WINDOW_BITS = 4
NEUTRAL = (0, 1, 1, 0)


def added(one, two):
    """The sum of two points in extended coordinates."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % PRIME
    b = (one[1] + one[0]) * (two[1] + two[0]) % PRIME
    c = 2 * one[3] * two[3] * D % PRIME
    d = 2 * one[2] * two[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def point(encoded):
    """The point of 32 bytes, or none."""
    y = int.from_bytes(encoded, "little")
    odd, y = y >> 255, y & (1 << 255) - 1
    if len(encoded) != 32 or y >= PRIME:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * ROOT_OF_MINUS_1 % PRIME
    if x * x % PRIME != square or x == 0 and odd:
        return None
    x = PRIME - x if x % 2 != odd else x
    return x, y, 1, x * y % PRIME


def encoded(of):
    inverse = pow(of[2], -1, PRIME)
    x, y = of[0] * inverse % PRIME, of[1] * inverse % PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


def multiples(of):
    """For each window of a scalar's bits, the point times each value that the window can have."""
    windows = []
    for _ in range(0, 256, WINDOW_BITS):
        window = [NEUTRAL]
        for _ in range(1, 1 << WINDOW_BITS):
            window.append(added(window[-1], of))
        windows.append(window)
        of = added(window[-1], of)
    return windows


def times(windows, scalar):
    product, mask = NEUTRAL, (1 << WINDOW_BITS) - 1
    for window in windows:
        product, scalar = added(product, window[scalar & mask]), scalar >> WINDOW_BITS
    return product


BASE = multiples(point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little")))
KEYS = {}


def verifies(key, message, signature):
    if key not in KEYS:
        public = point(key)
        negated = public and (PRIME - public[0], public[1], 1, PRIME - public[3])
        KEYS[key] = negated and multiples(negated)
    s = int.from_bytes(signature[32:], "little")
    if KEYS[key] is None or len(signature) != 64 or s >= ORDER:
        return False
    hashed = hashlib.sha512(signature[:32] + key + message).digest()
    expected = added(times(BASE, s), times(KEYS[key], int.from_bytes(hashed, "little") % ORDER))
    return encoded(expected) == signature[:32]


def signed(secret, message):
    """The public key of 32 secret bytes, and its signature: for tests of the checks."""
    stretched = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(stretched[:32], "little") & (1 << 254) - 8 | 1 << 254
    key = encoded(times(BASE, scalar))
    nonce = int.from_bytes(hashlib.sha512(stretched[32:] + message).digest(), "little") % ORDER
    commitment = encoded(times(BASE, nonce))
    hashed = int.from_bytes(hashlib.sha512(commitment + key + message).digest(), "little") % ORDER
    return key, commitment + ((nonce + hashed * scalar) % ORDER).to_bytes(32, "little")
