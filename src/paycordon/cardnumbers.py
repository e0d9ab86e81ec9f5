"""Refuse primary account numbers (PAN) at the door.

PCI DSS 3.5.1.1 makes even an unkeyed digest of a PAN unacceptable, so none is ever taken: gateways hand out tokens
and fingerprints instead. A run of 13 to 19 digits counts as a PAN when it starts like an issuer's range
(ISO/IEC 7812) and passes the Luhn check; runs glued to letters, as in most gateway ids and IBANs, do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A maximal run of digits, single spaces or dashes between them, not glued to a letter, digit, plus sign or underscore:
# a leading plus marks an E.164 telephone number, which may pass Luhn by chance.
_DIGIT_RUN = re.compile(r"(?<![0-9A-Za-z_+])\d(?:[ -]?\d){12,18}(?![ -]?\d)(?![0-9A-Za-z_])")

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
    """Tell whether `text` contains something that may be a PAN."""
    if len(text) < 13:
        return False
    for found in _DIGIT_RUN.finditer(text):
        digits = found.group().replace(" ", "").replace("-", "")
        if _ISSUER.match(digits) and _passes_luhn(digits):
            return True
    return False


def paths_of_card_numbers(value: object, path: str = "") -> Iterator[str]:
    """Yield where in a JSON-like value a PAN stands, never the number itself."""
    if isinstance(value, str):
        if looks_like_card_number(value):
            yield path
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**12 and looks_like_card_number(str(abs(value))):
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
