"""The one spelling of each kind of identifier. Libraries are loaded with the first value that needs them.

A normaliser returns none for a value that is nothing of its kind; such a value still has one spelling, its folded text,
and matches only what is written the same way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from paycordon.coalition import networks, wallets
from paycordon.events import Identifier, IdentifierKind

Normaliser = Callable[[str, str | None], str | None]

# What follows these marks in the local part only sorts mail at providers that say so; elsewhere it may be another box.
_SUBADDRESSED = {
    **dict.fromkeys(("gmail.com", "googlemail.com"), "+"),
    **dict.fromkeys(("outlook.com", "hotmail.com", "live.com", "msn.com"), "+"),
    **dict.fromkeys(("icloud.com", "me.com", "mac.com"), "+"),
    **dict.fromkeys(("protonmail.com", "proton.me", "pm.me"), "+"),
    **dict.fromkeys(("fastmail.com", "fastmail.fm"), "+"),
    **dict.fromkeys(("yahoo.com", "ymail.com", "rocketmail.com"), "-"),
}
_SAME_MAILBOX = {"googlemail.com": "gmail.com", "protonmail.com": "proton.me", "pm.me": "proton.me"}
# Parameters that say where a visitor came from, not where he is.
_TRACKING = re.compile(r"^(utm_\w+|gclid|fbclid|msclkid|mc_[ce]id|igshid|yclid|_ga)$")
# Legal forms in full, which the library has only in short.
_SPELT_OUT = (
    "gesellschaft mit beschrankter haftung",
    "aktiengesellschaft",
    "public limited company",
    "limited liability company",
    "societe anonyme",
    "societe a responsabilite limitee",
    "sociedad anonima",
    "sociedad limitada",
    "societa per azioni",
    "besloten vennootschap",
    "naamloze vennootschap",
)
_LONGEST_FORM = 5
_JOINING = re.compile("[.'\N{RIGHT SINGLE QUOTATION MARK}`/]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ANALYTICS = re.compile(r"^(UA-\d+(-\d+)?|(G|GT|GTM|AW|DC)-[A-Z0-9]+|(CA-)?PUB-\d+|\d{5,20}|[A-Z0-9-]{4,64})$")
_HANDLE_HOSTS = re.compile(r"^(?:https?://)?(?:www\.)?[a-z0-9.-]+\.[a-z]{2,}/@?([^/?#]+)/?$")


def folded(value: str) -> str:
    """Return a text in one case and one form (NFKC), with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def compact(value: str) -> str:
    """Return only the letters and digits of a text, in capitals."""
    return "".join(c for c in unicodedata.normalize("NFKC", value).upper() if c.isalnum())


def email(value: str, _country: str | None) -> str | None:
    """Fold the address, write its domain in ASCII, and drop what a known mailbox provider ignores."""
    before, _, after = unicodedata.normalize("NFKC", value).strip().rpartition("@")
    local, host = folded(before), _host(after)
    if not local or " " in local or host is None:
        return None
    if (mark := _SUBADDRESSED.get(host)) is not None:
        local = local.partition(mark)[0] or local
    host = _SAME_MAILBOX.get(host, host)
    if host == "gmail.com":
        local = local.replace(".", "") or local
    return f"{local}@{host}"


def phone(value: str, country: str | None) -> str | None:
    """Return the number in E.164; one without a country code is read as of the merchant's country."""
    import phonenumbers

    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", value), country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def domain(value: str, _country: str | None) -> str | None:
    """Return the host name in ASCII (UTS 46) without `www.`."""
    host = _host(value)
    return host.removeprefix("www.") if host else None


def _host(value: str) -> str | None:
    host = value.strip().strip(".").lower()  # never casefolded: `ß` is a letter of its own here
    if not host.isascii():
        import idna

        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    if len(host) > 253 or not re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+", host):
        return None
    return host


def domains(host: str) -> list[str]:
    """Return a host and the domains it lies in, up to the one that its owner registered (public suffix list)."""
    registered = _suffixes().privatesuffix(host)
    if registered is None:
        return []
    names = [host]
    while names[-1] != registered:
        names.append(names[-1].partition(".")[2])
    return names


@cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def url(value: str, _country: str | None) -> str | None:
    """Return scheme-less host, path and sorted query; without default port, fragment, login and tracking.

    `http` and `https` are the same place. The path keeps its case, because servers may tell it apart.
    """
    text = unicodedata.normalize("NFKC", value).strip()
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        port = parts.port
    except ValueError:
        return None
    host = _host(parts.hostname or "")
    if host is None or parts.scheme.lower() not in ("", *_DEFAULT_PORTS):
        return None
    place = host.removeprefix("www.")
    if port is not None and port not in _DEFAULT_PORTS.values():
        place += f":{port}"
    path = _path(parts.path)
    asked = sorted((k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.match(k.lower()))
    return f"{place}{path}{'?' if asked else ''}{urlencode(asked)}"


def _path(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(quote(unquote(segment), safe="!$&'()*+,;=:@~-._"))
    return "".join(f"/{segment}" for segment in kept)


def person(value: str, _country: str | None) -> str | None:
    """Return the words of a name without punctuation, in alphabetical order: `Doe, Jane` is `Jane Doe`."""
    return " ".join(sorted(_words(value))) or None


def legal_entity(value: str, _country: str | None) -> str | None:
    """Return a company's name without punctuation and without its legal form, wherever in the world that is one."""
    words = _words(value)
    forms = _legal_forms()
    while words:
        rest = next((words[:-n] for n in range(_LONGEST_FORM, 0, -1) if _plain(words[-n:]) in forms), words)
        if rest == words and len(_plain(words[:1])[0]) > 2 and _plain(words[:1]) in forms:
            rest = words[1:]  # written in front in some languages; shorter ones are also words there
        if rest in (words, []):
            break
        words = rest
    return " ".join(words) or None


def _words(text: str) -> list[str]:
    """Return a name's words in one case; full stops, apostrophes and strokes join letters, other marks part words."""
    joined = _JOINING.sub("", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in joined).split()


def _plain(words: Sequence[str]) -> tuple[str, ...]:
    decomposed = (unicodedata.normalize("NFKD", word) for word in words)
    return tuple("".join(c for c in word if unicodedata.category(c) != "Mn") for word in decomposed)


@cache
def _legal_forms() -> frozenset[tuple[str, ...]]:
    from cleanco import prepare_default_terms

    forms = {tuple(word for word in term if word.isalnum()) for _, term in prepare_default_terms()}
    return frozenset(form for form in (*forms, *map(tuple, map(str.split, _SPELT_OUT))) if form)


def tax_id(value: str, country: str | None) -> str | None:
    """Return a tax number as its country writes it, without the country's prefix of a VAT number.

    A number that no scheme of the country knows is compacted all the same; the country is not part of it.
    """
    text = compact(value)
    prefix = text[:2]
    if prefix.isalpha() and (vat := _eu_vat(prefix)) is not None and vat.is_valid(text):
        return text[2:]
    for module in _tax_schemes((country or "").lower()):
        if module.is_valid(text):
            return compact(module.compact(text)).removeprefix((country or "").upper())
    return text or None


@cache
def _eu_vat(prefix: str) -> Any:
    from stdnum.eu import vat

    member = prefix.lower().replace("el", "gr")
    return vat if member in vat.MEMBER_STATES or member in ("xi", "eu") else None


@cache
def _tax_schemes(country: str) -> tuple[Any, ...]:
    from stdnum import get_cc_module

    if not re.fullmatch(r"[a-z]{2}", country):
        return ()
    found = (get_cc_module(country, name) for name in ("vat", "tin", "ein", "businessid", "stnr", "utr", "siren"))
    return tuple(module for module in found if module is not None)


def iban(value: str, _country: str | None) -> str | None:
    """Return the compact form of an IBAN whose length and check digits are right (ISO 13616)."""
    from stdnum import iban as scheme

    text = compact(value)
    return text if scheme.is_valid(text, check_country=False) else None


def descriptor(value: str, _country: str | None) -> str | None:
    """Fold a statement descriptor; asterisks and runs of spaces only separate its parts."""
    return folded(value.replace("*", " ")) or None


def analytics_id(value: str, _country: str | None) -> str | None:
    """Return the id in capitals, without `CA-` of a publisher and without the property of a `UA-` account."""
    text = unicodedata.normalize("NFKC", value).strip().upper()
    if not _ANALYTICS.match(text):
        return None
    return re.sub(r"^(UA-\d+)-\d+$", r"\1", text.removeprefix("CA-"))


def handle(value: str, _country: str | None) -> str | None:
    """Return a user name without `@`, in one case; of a profile's address only its last part."""
    text = folded(value)
    if (of_profile := _HANDLE_HOSTS.match(text)) is not None:
        text = of_profile[1]
    return text.lstrip("@") or None


def ip(value: str, _country: str | None) -> str | None:
    """Return an address or a network in its shortest form; an IPv4 address inside IPv6 as IPv4."""
    return networks.canonical(value)


def wallet(value: str, _country: str | None) -> str | None:
    """Return an address whose check sum is right, in the form that its chain compares."""
    return wallets.canonical(value)


def opaque(value: str, _country: str | None) -> str | None:
    """Return a gateway's or network's own id, which is the same only if every character is."""
    return unicodedata.normalize("NFC", value).strip() or None


NORMALISERS: Mapping[str, Normaliser] = {
    IdentifierKind.EMAIL: email,
    IdentifierKind.PHONE: phone,
    IdentifierKind.DOMAIN: domain,
    IdentifierKind.URL: url,
    IdentifierKind.PERSON: person,
    IdentifierKind.LEGAL_ENTITY: legal_entity,
    IdentifierKind.TAX_ID: tax_id,
    IdentifierKind.IBAN: iban,
    IdentifierKind.BANK_ACCOUNT: opaque,
    IdentifierKind.CARD_FINGERPRINT: opaque,
    IdentifierKind.WALLET: wallet,
    IdentifierKind.IP: ip,
    IdentifierKind.DEVICE: opaque,
    IdentifierKind.DESCRIPTOR: descriptor,
    IdentifierKind.MERCHANT_ID: opaque,
    IdentifierKind.ANALYTICS_ID: analytics_id,
    IdentifierKind.HANDLE: handle,
}


def _verbatim(value: str) -> str:
    return value.strip()


def _phone_before(value: str) -> str:
    digits = "".join(c for c in unicodedata.normalize("NFKC", value) if c.isdecimal())
    return f"+{digits}" if value.strip().startswith("+") else digits


def _domain_before(value: str) -> str:
    return folded(value).strip(".").removeprefix("www.")


_BEFORE: Mapping[str, Callable[[str], str]] = {
    IdentifierKind.EMAIL: folded,
    IdentifierKind.PHONE: _phone_before,
    IdentifierKind.DOMAIN: _domain_before,
    IdentifierKind.PERSON: folded,
    IdentifierKind.LEGAL_ENTITY: folded,
    IdentifierKind.TAX_ID: compact,
    IdentifierKind.IBAN: compact,
    IdentifierKind.DESCRIPTOR: folded,
    IdentifierKind.HANDLE: folded,
}


def simple_form(identifier: Identifier) -> str:
    """Return the spelling that the first version gave an identifier.

    Digests of it are in stores of that version, so events are compared under it as well; and it is what stands for a
    value that is nothing of its kind.
    """
    return _BEFORE.get(identifier.kind, _verbatim)(identifier.value or "")


def full_form(identifier: Identifier, country: str | None = None) -> str | None:
    """Return the one spelling of an identifier's value, or none if the value is nothing of its kind.

    A kind without a normaliser is only stripped.

    Args:
        identifier: with its plain value.
        country: the merchant's, ISO 3166-1 alpha-2; telephone and tax numbers without one of their own are read by it.
    """
    normaliser = NORMALISERS.get(identifier.kind)
    value = identifier.value or ""
    return _verbatim(value) if normaliser is None else normaliser(value, country)
