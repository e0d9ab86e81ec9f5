"""Parties in the words of MATCH, and its answers in ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Literal

from paycordon.coalition.identifiers import Digester
from paycordon.errors import FeedRefused
from paycordon.events import Identifier
from paycordon.exchange.contract import Address, Party, Principal
from paycordon.exchange.inquiry import About, Likeness, Match, Matched
from paycordon.feeds.reading import as_list, as_mapping

MOST_MATCHES = 200
"""An inquiry that names more possible merchants than this says nothing; it is to be asked with more details."""

MOST_URL_BYTES = 20_000
MOST_PRINCIPALS = 5
_LONGEST = 900
_DATE = "%m/%d/%Y"
_LIKENESS = {"M01": Likeness.EXACT, "M02": Likeness.ALIKE}
_MERCHANT = {
    "Name": About.LEGAL_NAME,
    "DoingBusinessAsName": About.TRADING_NAME,
    "Address": About.ADDRESS,
    "PhoneNumber": About.PHONE,
    "NationalTaxId": About.TAX_ID,
}
_PERSON = {"Name": About.PERSON, "PhoneNumber": About.PERSON_PHONE, "NationalId": About.PERSON_ID}
_REASON = re.compile(r"\d{2}")
_BY = re.compile(r"\d{1,11}")


def merchant_of(party: Party, tax_ids: Literal["all", "us"]) -> dict[str, Any]:
    """Return what both an inquiry and a listing say of a merchant; what is not known is left out."""
    country = party.address.country
    told = {
        "Name": party.legal_name,
        "DoingBusinessAsName": party.trading_name,
        "Address": _address(party.address),
        "PhoneNumber": national_number(party.phone, country),
        "NationalTaxId": party.tax_id if tax_ids == "all" or country == "US" else "",
        "Url": list(party.urls),
        "Principal": [_principal(each, country) for each in party.principals[:MOST_PRINCIPALS]],
    }
    return {name: value for name, value in told.items() if value}


def written(day: date) -> str:
    """Return a date as MATCH writes it: MM/DD/YYYY."""
    return day.strftime(_DATE)


def national_number(phone: str, country: str | None) -> str:
    """Return a telephone number's digits without the country code, which is how MATCH wants it; empty for none."""
    if not phone:
        return ""
    import phonenumbers

    try:
        return phonenumbers.national_significant_number(phonenumbers.parse(phone, country))
    except phonenumbers.NumberParseException:
        return re.sub(r"\D", "", phone)


def alpha3(country: str | None) -> str:
    """Return a country's three letters (ISO 3166-1); empty for none, or one that is not in the standard."""
    import iso3166

    found = iso3166.countries_by_alpha2.get(country or "")
    return "" if found is None else str(found.alpha3)


def matches_of(possible: Any, digester: Digester) -> tuple[int, list[Match]]:
    """Read `PossibleMerchantMatches`: how many there are in all, and those of this page.

    Raises:
        FeedRefused: it is malformed, or names more than anybody could look at; repeats no value.
    """
    total, found = 0, list[Match]()
    for group in _several(possible, "`PossibleMerchantMatches`"):
        total += _total(group.get("TotalLength", 0))
        page = _several(group.get("TerminatedMerchant"), "`TerminatedMerchant`")
        found += [_match(each, digester) for each in page]
    if total > MOST_MATCHES or len(found) > MOST_MATCHES:
        raise FeedRefused(f"it names more than {MOST_MATCHES} possible merchants: ask with more details")
    return total, found


def part_of(document: Any, *names: str) -> Mapping[str, Any]:
    """Return what stands under these names, one within the other.

    Raises:
        FeedRefused: it is not there.
    """
    for name in names:
        document = as_mapping(document, "its answer").get(name)
    return as_mapping(document, f"`{names[-1]}`")


def several(value: Any, what: str) -> list[Mapping[str, Any]]:
    """Return a list of objects, of which MATCH writes one alone as an object, and none as nothing.

    Raises:
        FeedRefused: it is something else.
    """
    return list(_several(value, what))


def _several(value: Any, what: str) -> Iterator[Mapping[str, Any]]:
    each = [] if value is None else [value] if isinstance(value, dict) else as_list(value, what)
    for one in each:
        yield as_mapping(one, f"an entry of {what}")


def _match(fields: Mapping[str, Any], digester: Digester) -> Match:
    merchant = as_mapping(fields.get("Merchant"), "`Merchant`")
    codes = as_mapping(fields.get("MerchantMatch") or {}, "`MerchantMatch`")
    matched = [*_matched(codes, merchant, _MERCHANT), *_urls(merchant)]
    listed = _several(merchant.get("Principal"), "`Principal`")
    # Codes and principals stand side by side; where there are not as many, whom a code is about is not known.
    people_codes = list(_several(codes.get("PrincipalMatch"), "`PrincipalMatch`"))
    people = [dict(each) for each in listed]
    if len(people) != len(people_codes):
        people = [{} for _ in people_codes]
    by = _short(merchant.get("AddedByAcquirerID"), _BY)
    on = _date(merchant.get("AddedOnDate"))
    reason = _short(merchant.get("TerminationReasonCode"), _REASON)
    return Match(
        listing=_listing(merchant, by, on, digester),
        matched=tuple(matched),
        people=tuple(
            found
            for code, person in zip(people_codes, people, strict=True)
            if (found := tuple(_matched(code, {"Name": _full_name(person)}, _PERSON)))
        ),
        reason=f"match:{reason}" if reason else "",
        listed_on=on,
        listed_by=by,
    )


def _listing(merchant: Mapping[str, Any], by: str, on: date | None, digester: Digester) -> str:
    """Name a listing, to which MATCH gives no reference here: by whom, when and who, as a keyed digest."""
    name = _plain(merchant.get("Name")) or "-"
    digest = digester.digest(Identifier(kind="match_listing", value=f"{by}/{on}/{name}"))
    return digest.rpartition(":")[2][:24]


def _matched(codes: Mapping[str, Any], listed: Mapping[str, Any], abouts: Mapping[str, About]) -> Iterator[Matched]:
    for name, about in abouts.items():
        code = codes.get(name)
        likeness = _LIKENESS.get(code) if isinstance(code, str) else None
        if likeness is not None:
            yield Matched(about, likeness, _plain(listed.get(name)))


def _urls(merchant: Mapping[str, Any]) -> Iterator[Matched]:
    for group in _several(merchant.get("UrlGroup"), "`UrlGroup`"):
        for name, likeness in (("ExactMatchUrls", Likeness.EXACT), ("CloseMatchUrls", Likeness.ALIKE)):
            for each in _several(group.get(name), f"`{name}`"):
                urls = each.get("Url", [])
                for url in [urls] if isinstance(urls, str) else as_list(urls, "`Url`"):
                    yield Matched(About.URL, likeness, _plain(url))


def _plain(value: Any) -> str:
    """Return a text as an identifier may be: of a bounded length, and nothing that cannot be printed."""
    return "".join(c for c in value[:_LONGEST] if c.isprintable()) if isinstance(value, str) else ""


def _full_name(person: Mapping[str, Any]) -> str:
    parts = (person.get("FirstName"), person.get("LastName"))
    return " ".join(part for part in parts if isinstance(part, str))


def _total(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise FeedRefused("`TotalLength` is not a number")
    return int(text)


def _date(value: Any) -> date | None:
    try:
        return datetime.strptime(value, _DATE).date() if isinstance(value, str) else None  # noqa: DTZ007 - no zone
    except ValueError:
        return None


def _short(value: Any, pattern: re.Pattern[str]) -> str:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if pattern.fullmatch(text) else ""


def _address(address: Address) -> dict[str, str]:
    """Return an address with all that MATCH requires of one, blank where it is not known; nothing if nothing is."""
    if address == Address():
        return {}
    return {
        "Line1": address.street,
        "City": address.city,
        "CountrySubdivision": address.region if address.country in ("US", "CA") else "",
        "Province": "" if address.country in ("US", "CA") else address.region,
        "PostalCode": address.postal_code,
        "Country": alpha3(address.country),
    }


def _principal(person: Principal, country: str | None) -> dict[str, Any]:
    home = person.address.country or country
    told = {
        "FirstName": person.first_name,
        "LastName": person.last_name,
        "Address": _address(person.address),
        "PhoneNumber": national_number(person.phone, home),
        "NationalId": person.national_id,
    }
    return {name: value for name, value in told.items() if value}
