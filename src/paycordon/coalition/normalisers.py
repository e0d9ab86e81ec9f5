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

from paycordon.coalition import mailboxes, networks, taxnumbers, wallets
from paycordon.coalition.namewords import COURTESY, SPELT_OUT
from paycordon.coalition.taxnumbers import compact
from paycordon.events import Identifier, IdentifierKind

Normaliser = Callable[[str, str | None], str | None]

# Parameters that say where a visitor came from, not where he is.
_TRACKING = re.compile(r"^(utm_\w+|gclid|fbclid|msclkid|mc_[ce]id|igshid|yclid|_ga)$")
_LONGEST_FORM = 5
_JOINING = re.compile("[.'\N{RIGHT SINGLE QUOTATION MARK}`/]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ANALYTICS = re.compile(r"^(UA-\d+(-\d+)?|(G|GT|GTM|AW|DC)-[A-Z0-9]+|(CA-)?PUB-\d+|\d{5,20}|[A-Z0-9-]{4,64})$")
# A profile's address: the name comes first in the path, or after a word that says that names follow.
_PROFILE = re.compile(
    r"^(?:https?://)?(?:[a-z0-9-]+\.)+[a-z]{2,}/"
    r"(?:profile\.php\?(?:.*&)?id=(?P<id>\d+)|(?:(?:user|users|u|in|add|channel|c|s|profile|people|company)/)?(?P<name>[^/?#]+))"
)
_ADDRESS_IN_TEXT = re.compile(r"(?:<|^mailto:)([^<>?]+)")
_NOT_LOCAL = re.compile(r"[\s<>,;:]")
_MORE_THAN_HOST = re.compile("[/:?#]")
_GROUPED_DIGITS = re.compile(r"\d[\d .\-/]*\d")
_HEX_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")
# Latin letters that are none with an accent, and how they are written without them.
_LATIN = str.maketrans(
    {"ø": "o", "ł": "l", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "\N{LATIN SMALL LETTER DOTLESS I}": "i"}
)


def folded(value: str) -> str:
    """Return a text in one case and one form (NFKC), with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def email(value: str, _country: str | None) -> str | None:
    """Fold the address, write its domain in ASCII, and drop what a known mailbox provider ignores."""
    text = unicodedata.normalize("NFKC", value).strip()
    if (inside := _ADDRESS_IN_TEXT.search(text)) is not None:
        text = inside[1]
    before, _, after = text.rpartition("@")
    local, host = folded(before), _host(after)
    if not local or _NOT_LOCAL.search(local) or host is None:
        return None
    return mailboxes.canonical(local, host)


def phone(value: str, country: str | None) -> str | None:
    """Return the number in E.164; one without a country code is read as of the merchant's country."""
    import phonenumbers

    text = unicodedata.normalize("NFKC", value).strip()
    # Most of the world dials `00` before a country's code, and people write it where it is not dialled.
    for written in (text, f"+{text[2:]}") if text.startswith("00") else (text,):
        try:
            number = phonenumbers.parse(written, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return None


def domain(value: str, _country: str | None) -> str | None:
    """Return the host name in ASCII (UTS 46) without `www.`; of a URL only its host, of `*.shop.example` the domain."""
    text = value.strip()
    if _MORE_THAN_HOST.search(text):
        try:
            text = urlsplit(text if "//" in text else f"//{text}").hostname or ""
        except ValueError:
            return None
    host = _host(text.removeprefix("*."))
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
    host = _host(parts.hostname or "") or _bracketed(parts.hostname or "")
    if host is None or parts.scheme.lower() not in ("", *_DEFAULT_PORTS):
        return None
    place = host.removeprefix("www.")
    if port is not None and port not in _DEFAULT_PORTS.values():
        place += f":{port}"
    path = _path(parts.path)
    asked = sorted((k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.match(k.lower()))
    return f"{place}{path}{'?' if asked else ''}{urlencode(asked)}"


def _bracketed(host: str) -> str | None:
    address = networks.canonical(host)
    return f"[{address}]" if address is not None and ":" in address and "/" not in address else address


def host_of(url_form: str) -> str:
    """Return the host in a URL's one spelling, an address of IPv6 without its brackets."""
    place = re.split("[/?]", url_form, maxsplit=1)[0]
    return place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]


def _path(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(quote(unquote(segment), safe="!$&'()*+,;=:@~-._"))
    return "".join(f"/{segment}" for segment in kept)


def person(value: str, _country: str | None) -> str | None:
    """Return the words of a name without punctuation, accents and courtesy, in alphabetical order.

    `Doe, Jane`, `Mrs. Jane Doe` and `Jané Doe` are `doe jane`. What else is alike is left to lists of names.
    """
    words = _words(value)
    named = [word for word in words if word not in COURTESY]
    return " ".join(sorted(named if len(named) > 1 else words)) or None


def legal_entity(value: str, _country: str | None) -> str | None:
    """Return a company's name without punctuation and without its legal form, wherever in the world that is one."""
    words = _words(value)
    plain, forms = _plain(words), _legal_forms()
    start, end = 0, len(words)
    while start < end:
        behind = next((n for n in range(_LONGEST_FORM, 0, -1) if plain[max(start, end - n) : end] in forms), 0)
        # Written in front in some languages; short ones are also words there.
        front = (n for n in range(_LONGEST_FORM, 0, -1) if plain[start : min(end, start + n)] in forms)
        before = 0 if behind else next((n for n in front if len("".join(plain[start : start + n])) > 2), 0)
        if not behind + before or min(behind + before, end - start) == end - start:
            break  # a name that is nothing else keeps its words
        start, end = start + before, end - behind
    return " ".join(words[start:end]) or None


def _words(text: str) -> list[str]:
    """Return a name's words in one case; full stops, apostrophes and strokes join letters, other marks part words."""
    joined = _JOINING.sub("", unicodedata.normalize("NFKC", text).casefold())
    words = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in joined).split()
    return [bare for word in words if (bare := word if word.isascii() else _unaccented(word))]


def _unaccented(word: str) -> str:
    """Drop accents, which are often left out, from Latin letters; in other alphabets such marks are letters."""
    if not all(unicodedata.name(c, "").startswith("LATIN") for c in word if c.isalpha()):
        return word
    return _plain((word.translate(_LATIN),))[0]


def _plain(words: Sequence[str]) -> tuple[str, ...]:
    decomposed = (unicodedata.normalize("NFKD", word) for word in words)
    return tuple("".join(c for c in word if unicodedata.category(c) != "Mn") for word in decomposed)


@cache
def _legal_forms() -> frozenset[tuple[str, ...]]:
    from cleanco import prepare_default_terms

    forms = {tuple(word for word in term if word.isalnum()) for _, term in prepare_default_terms()}
    return frozenset(form for form in (*forms, *map(tuple, map(str.split, SPELT_OUT))) if form)


def tax_id(value: str, country: str | None) -> str | None:
    """Return a tax number as its country writes it, without the country's prefix and without what a register adds."""
    return taxnumbers.canonical(value, country)


def bank_account(value: str, _country: str | None) -> str | None:
    """Return a number without what only groups its digits, an IBAN in its compact form; all else is a gateway's own."""
    text = unicodedata.normalize("NFKC", value).strip()
    if _GROUPED_DIGITS.fullmatch(text):
        return compact(text)
    return iban(text, None) or opaque(value, None)


def device(value: str, _country: str | None) -> str | None:
    """Return a UUID or a hardware address in lower case, in the usual groups; all else is somebody's own id."""
    text = opaque(value, None)
    if text is None or not _HEX_ID.fullmatch(text):
        return text
    digits = re.sub("[^0-9a-f]", "", text.lower())
    if len(digits) == 12:
        return ":".join(digits[i : i + 2] for i in range(0, 12, 2))
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


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
    """Return a user name without `@`, in one case; of a profile's address only the name in it."""
    text = folded(value)
    if (profile := _PROFILE.match(text)) is not None:
        text = profile["id"] or profile["name"]
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
    IdentifierKind.BANK_ACCOUNT: bank_account,
    IdentifierKind.CARD_FINGERPRINT: opaque,
    IdentifierKind.WALLET: wallet,
    IdentifierKind.IP: ip,
    IdentifierKind.DEVICE: device,
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
