"""Compare what was asked about with what is listed: exactly, or alike in sound.

How the service itself compares is not public; this is near enough to try a policy out on. Codes are those of the
service: M00 no match, M01 exact, M02 partial or alike in sound.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from cleanco import basename

NONE, EXACT, ALIKE = "M00", "M01", "M02"
NAMES = ("Name", "DoingBusinessAsName", "ServiceProvLegal", "ServiceProvDBA")
NUMBERS = ("PhoneNumber", "AltPhoneNumber", "CountrySubdivisionTaxId", "NationalTaxId")
_SOUNDS = {letter: str(digit) for digit, letters in enumerate(("BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"), 1)
           for letter in letters}  # fmt: skip


def compared(asked: Mapping[str, Any], listed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the code of each field, with one entry in `PrincipalMatch` for each listed principal."""
    codes: dict[str, Any] = {name: _of_names(asked.get(name), listed.get(name)) for name in NAMES}
    codes |= {name: _of_numbers(asked.get(name), listed.get(name)) for name in NUMBERS}
    codes["Address"] = _of_addresses(asked.get("Address"), listed.get("Address"))
    people = asked.get("Principal") or []
    codes["PrincipalMatch"] = [_best(people, each) for each in listed.get("Principal") or []]
    return codes


def urls(asked: Mapping[str, Any], listed: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the listed addresses of websites by how they match: exact, close (the same host), none."""
    wanted = {_url(each) for each in _listed(asked.get("Url"))}
    hosts = {each.partition("/")[0] for each in wanted}
    found: dict[str, list[str]] = {EXACT: [], ALIKE: [], NONE: []}
    for each in _listed(listed.get("Url")):
        url = _url(each)
        code = EXACT if url in wanted else ALIKE if url.partition("/")[0] in hosts else NONE
        found[code].append(each)
    return found


def matching(codes: Mapping[str, Any], sites: Mapping[str, Sequence[str]]) -> int:
    """Count the fields that match."""
    own = sum(1 for code in codes.values() if isinstance(code, str) and code != NONE)
    people = sum(1 for each in codes["PrincipalMatch"] for code in each.values() if code != NONE)
    return own + people + bool(sites[EXACT] or sites[ALIKE])


def _best(asked: Sequence[Mapping[str, Any]], listed: Mapping[str, Any]) -> dict[str, str]:
    each = [_of_people(person, listed) for person in asked] or [_of_people({}, listed)]
    return max(each, key=lambda codes: sum({NONE: 0, ALIKE: 1, EXACT: 2}[code] for code in codes.values()))


def _of_people(asked: Mapping[str, Any], listed: Mapping[str, Any]) -> dict[str, str]:
    names = [" ".join(str(who.get(part, "")) for part in ("FirstName", "LastName")) for who in (asked, listed)]
    licences = [str((who.get("DriversLicense") or {}).get("Number", "")) for who in (asked, listed)]
    return {
        "Name": _of_names(*names),
        "Address": _of_addresses(asked.get("Address"), listed.get("Address")),
        "PhoneNumber": _of_numbers(asked.get("PhoneNumber"), listed.get("PhoneNumber")),
        "AltPhoneNumber": _of_numbers(asked.get("AltPhoneNumber"), listed.get("AltPhoneNumber")),
        "NationalId": _of_numbers(asked.get("NationalId"), listed.get("NationalId")),
        "DriversLicense": _of_numbers(*licences),
    }


def _of_names(asked: Any, listed: Any) -> str:
    one, other = _words(asked), _words(listed)
    if not one or not other:
        return NONE
    if one == other:
        return EXACT
    return ALIKE if {_sound(word) for word in one} == {_sound(word) for word in other} else NONE


def _of_numbers(asked: Any, listed: Any) -> str:
    one, other = (re.sub(r"[^0-9A-Z]", "", str(each or "").upper()) for each in (asked, listed))
    return EXACT if one and one == other else NONE


def _of_addresses(asked: Any, listed: Any) -> str:
    one, other = asked or {}, listed or {}
    if not _words(one.get("Line1")):
        return NONE
    same = [_words(one.get(part)) == _words(other.get(part)) for part in ("Line1", "City", "Country")]
    return EXACT if all(same) else NONE


def _words(text: Any) -> list[str]:
    plain = unicodedata.normalize("NFKD", str(text or "")).encode("ascii", "ignore").decode()
    return re.findall(r"[A-Z0-9]+", str(basename(plain)).upper())


def _sound(word: str) -> str:
    """Return the American Soundex of a word, in which vowels fall away and like consonants are one."""
    code, before = word[0], _SOUNDS.get(word[0], "")
    for letter in word[1:]:
        sound = _SOUNDS.get(letter, "")
        if sound and sound != before:
            code += sound
        if letter not in "HW":
            before = sound
    return code[:4].ljust(4, "0")


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in value or []]


def _url(text: str) -> str:
    return re.sub(r"^(https?://)?(www\.)?", "", text.strip().lower()).rstrip("/")
