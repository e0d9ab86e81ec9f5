"""Documents altered at random, from a seed: for tests of whatever reads what others write."""

from __future__ import annotations

import random

_PIECES = (b"\x00", b"\xff", b"{", b"}", b"[", b"]", b'"', b",", b"\n", b"null", b"-1", b"1e999", b"\\ud800", b"NaN")


def mutated(data: bytes, randomness: random.Random) -> bytes:
    """Alter a document in one to four places: bits, pieces left out, doubled, moved or put in."""
    found = bytearray(data)
    for _ in range(randomness.randint(1, 4)):
        start = randomness.randrange(len(found) + 1)
        end = min(len(found), start + randomness.choice((1, 1, 2, 8, 64)))
        how = randomness.randrange(5)
        if how == 0 and start < len(found):
            found[start] ^= 1 << randomness.randrange(8)
        elif how == 1:
            del found[start:end]
        elif how == 2:
            found[start:start] = found[start:end]
        elif how == 3:
            found[start:end] = randomness.choice(_PIECES)
        else:
            piece = found[start:end]
            del found[start:end]
            place = randomness.randrange(len(found) + 1)
            found[place:place] = piece
    return bytes(found)
