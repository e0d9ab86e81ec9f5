"""One spelling of tax and company numbers: the same enterprise has the same one, however its country decorates it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

# Names of the schemes in the library; those that number an enterprise come before those that number its places.
_SCHEMES = ("vat", "tin", "ein", "businessid", "stnr", "utr", "siren", "siret", "uid", "orgnr", "bn", "gstin")
# Countries outside of the European Union whose numbers are often written with the country in front.
_PREFIXED = ("GB", "CH", "NO")


def _first(digits: int) -> Callable[[str], str]:
    return lambda text: text[:digits]


# What a country adds to an enterprise's own number, for one of its registers or places.
_ENTERPRISE: Mapping[str, Callable[[str], str]] = {
    "CA": _first(9),  # a programme's account: RT0001
    "CH": lambda text: f"CHE{re.sub('[^0-9]', '', text)}",  # the tax's name in one of four languages
    "FR": lambda text: text[2:] if len(text) == 11 else text[:9],  # two check digits in front (tva), a place (siret)
    "GB": _first(9),  # a branch
    "IN": lambda text: text[2:12] if len(text) == 15 else text,  # state and registration around the PAN
    "NO": lambda text: re.sub("[^0-9]", "", text),  # `MVA`
    "SE": lambda text: text[:10] if len(text) == 12 and text.endswith("01") else text,
}


def compact(value: str) -> str:
    """Return only the letters and digits of a text, in capitals."""
    return "".join(c for c in unicodedata.normalize("NFKC", value).upper() if c.isalnum())


def canonical(value: str, country: str | None) -> str | None:
    """Return a tax number as its country writes it, without the country's prefix and without what is added to it.

    A number that no scheme of the country knows is compacted all the same; the country is not part of it.
    """
    text = compact(value)
    prefix = text[:2]
    if prefix.isalpha() and (vat := _eu_vat(prefix)) is not None and vat.is_valid(text):
        return _enterprise(compact(vat.compact(text))[2:], prefix)
    for code in dict.fromkeys((prefix if prefix in _PREFIXED else "", (country or "").upper())):
        for module in _schemes(code.lower()):
            for written in (text, text.removeprefix(code)):
                if module.is_valid(written):
                    return _enterprise(compact(module.compact(written)), code)
    return text or None


def _enterprise(number: str, country: str) -> str:
    # A Swiss number begins with a country's letters and a third one.
    bare = number.removeprefix(country) if country != "CH" else number
    bare = bare.removeprefix("EL") if country == "GR" else bare
    return _ENTERPRISE.get(country, str)(bare)


@cache
def _eu_vat(prefix: str) -> Any:
    from stdnum.eu import vat

    member = prefix.lower().replace("el", "gr")
    return vat if member in vat.MEMBER_STATES or member in ("xi", "eu") else None


@cache
def _schemes(country: str) -> tuple[Any, ...]:
    from stdnum import get_cc_module

    if not re.fullmatch(r"[a-z]{2}", country):
        return ()
    found = (get_cc_module(country, name) for name in _SCHEMES)
    return tuple(module for module in found if module is not None)
