"""Refuse primary account numbers (PAN) at the door.

PCI DSS 3.5.1.1 makes even an unkeyed digest of a PAN unacceptable, so none is ever taken: gateways hand out tokens
and fingerprints instead. A run of 13 to 19 digits counts as a PAN when it starts like an issuer's range
(ISO/IEC 7812) and passes the Luhn check; runs glued to letters, as in most gateway ids and IBANs, do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A group of digits that is not glued to a letter, an underscore or a plus sign: most gateway ids are glued, and a
# leading plus marks an E.164 telephone number, which may pass Luhn by chance.
_DIGITS = re.compile(r"(?<![0-9A-Za-z_+])\d+(?![0-9A-Za-z_])")
_SHORTEST, _LONGEST = 13, 19

# Issuer ranges by leading digits: Visa, Mastercard (both), Amex, Discover, JCB, Diners, UnionPay and Maestro.
_ISSUER = re.compile(
    r"4|5[0-8]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[47]|6011|64[4-9]|65|62|352[89]|35[3-8]|30[0-5]|3[689]|6[37]"
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _passes_luhn(digits: str) -> bool:
    odd = sum(map(int, digits[-1::-2]))
    even = sum(_DOUBLED[int(d)] for d in digits[-2::-2])
    return (odd + even) % 10 == 0


def looks_like_card_number(text: str) -> bool:
    """Tell whether `text` contains something that may be a PAN, in one piece or with single spaces or dashes."""
    if len(text) < _SHORTEST:
        return False
    groups = list(_DIGITS.finditer(text))
    return any(_starts_card_number(text, groups, first) for first in range(len(groups)))


def _starts_card_number(text: str, groups: list[re.Match[str]], first: int) -> bool:
    """Join the group with those that follow it after a single space or dash, and test each length on the way."""
    digits = ""
    for index in range(first, len(groups)):
        if index > first and text[groups[index - 1].end() : groups[index].start()] not in (" ", "-"):
            return False
        digits += groups[index].group()
        if len(digits) > _LONGEST:
            return False
        if len(digits) >= _SHORTEST and _ISSUER.match(digits) and _passes_luhn(digits):
            return True
    return False


def _written_out(value: str | float) -> str:
    # JSON writes one number in several ways, and some readers make floats of all of them.
    if isinstance(value, float):
        return str(abs(int(value))) if value.is_integer() and abs(value) < 10**_LONGEST else ""
    return value if isinstance(value, str) else str(abs(value))


def paths_of_card_numbers(value: object, path: str = "") -> Iterator[str]:
    """Yield where in a JSON-like value a PAN stands, never the number itself."""
    if isinstance(value, str | int | float):
        if looks_like_card_number(_written_out(value)):
            yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            key_is_one = looks_like_card_number(str(key))
            name = "a key" if key_is_one else str(key)
            inner = f"{path}.{name}" if path else name
            if key_is_one:
                yield inner
            yield from paths_of_card_numbers(item, inner)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from paths_of_card_numbers(item, f"{path}[{index}]")
