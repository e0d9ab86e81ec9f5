"""What the simulated service keeps: who is listed, by whom, who was asked about, and what was found since."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from paycordon.simulated.match.comparing import NAMES, compared, matching, urls
from paycordon.simulated.match.problems import Problem
from paycordon.simulation import Ledger

WATCHED = timedelta(days=360)
LISTED = timedelta(days=5 * 365)
REASONS = frozenset(f"{number:02d}" for number in range(1, 15)) - {"06"}
MAX_PRINCIPALS = 5
MAX_URL_BYTES = 20_000
_NEEDED = (
    *("MerchantId", "Name", "CATFlag", "PhoneNumber", "ReasonCode", "MerchantCategory"),
    *("DateOpened", "DateClosed"),
)
_ADDRESS = ("Line1", "City", "Country")
_DATE = "%m/%d/%Y"
_MASKED = "*****"


@dataclass(slots=True)
class Listed:
    """A terminated merchant as it was added; `removed_at` once its lister took it off."""

    reference: str
    acquirer: str
    merchant: Mapping[str, Any]
    added_at: datetime
    removed_at: datetime | None = None

    def counts(self, now: datetime) -> bool:
        """Tell whether it is on the list."""
        return self.removed_at is None and now < self.added_at + LISTED


@dataclass(slots=True)
class Inquired:
    """An inquiry, what it found, and what others have listed since."""

    reference: str
    acquirer: str
    merchant: Mapping[str, Any]
    least: int
    at: datetime
    found: list[Listed] = field(default_factory=list)
    later: list[Listed] = field(default_factory=list)


class TerminatedMerchants(Ledger):
    """The list. Whoever uses it holds `lock`."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.listed: dict[str, Listed] = {}
        self.inquiries: dict[str, Inquired] = {}

    def add(self, acquirer: str, merchant: Mapping[str, Any]) -> Listed:
        """List a merchant, and find the inquiries of others that it belongs to.

        Raises:
            Problem: something is missing or malformed, or this acquirer has listed this merchant id already.
        """
        _check_merchant(merchant)
        same = (acquirer, merchant["MerchantId"])
        if any((each.acquirer, each.merchant["MerchantId"]) == same for each in self.listed.values()):
            raise Problem(400, "DUPLICATE_MERCHANT", "MerchantId")  # the public description gives no code
        now = self.clock()
        added = Listed(self._reference(acquirer), acquirer, dict(merchant), now)
        self.listed[added.reference] = added
        for inquiry in self.inquiries.values():
            if inquiry.acquirer != acquirer and now < inquiry.at + WATCHED and _matches(inquiry, added):
                inquiry.later.append(added)
        self.changed(added.reference, "listed", None, merchant["ReasonCode"])
        return added

    def remove(self, reference: str, acquirer: str | None = None) -> None:
        """Take a merchant off the list, as its lister does in the service's application.

        Raises:
            Problem: it is not listed, or by somebody else.
        """
        found = self.listed.get(reference)
        if found is None or not found.counts(self.clock()):
            raise Problem(404, "NOT_FOUND", "MerchantReferenceNumber")
        if acquirer is not None and acquirer != found.acquirer:
            raise Problem(403, "NOT_THE_LISTER", "AcquirerId")
        found.removed_at = self.clock()
        self.changed(reference, "removed", False, True)

    def inquire(self, acquirer: str, merchant: Mapping[str, Any]) -> Inquired:
        """Compare a merchant with the list, and go on comparing.

        Raises:
            Problem: something is missing or malformed.
        """
        _check_fields(merchant, ("Name",), "Merchant")
        _check_people(merchant)
        criteria = merchant.get("SearchCriteria")
        least = str((criteria or {}).get("MinPossibleMatchCount", "1"))
        if not isinstance(criteria, Mapping) or criteria.get("SearchAll") not in ("Y", "N") or not least.isdecimal():
            raise Problem(400, "INVALID_INPUT_VALUE", "SearchCriteria")
        made = Inquired(self._reference(acquirer), acquirer, dict(merchant), int(least), self.clock())
        made.found = [each for each in self.listed.values() if each.counts(made.at) and _matches(made, each)]
        self.inquiries[made.reference] = made
        return made

    def of(self, acquirer: str, reference: str) -> Inquired:
        """Return an inquiry of an acquirer.

        Raises:
            Problem: it has made none of that reference.
        """
        found = self.inquiries.get(reference)
        if found is None or found.acquirer != acquirer:
            raise Problem(404, "NOT_FOUND", "InquiryReferenceNumber")
        return found

    def retro(self, acquirer: str) -> list[Inquired]:
        """Return the inquiries of an acquirer to which others have listed somebody since who is still listed."""
        mine = (each for each in self.inquiries.values() if each.acquirer == acquirer)
        return [each for each in mine if self.still(each.later)]

    def still(self, listed: Sequence[Listed]) -> list[Listed]:
        """Return those that are on the list now."""
        return [each for each in listed if each.counts(self.clock())]

    def _reference(self, acquirer: str) -> str:
        return f"{acquirer}{self.clock():%Y%m%d}{self.next_number('reference'):05d}"


def summary(inquiry: Inquired) -> dict[str, Any]:
    """Describe an inquiry in the list of those that match since."""
    address = inquiry.merchant.get("Address") or {}
    return {
        "RefNum": inquiry.reference,
        "BusinessName": str(inquiry.merchant["Name"]).upper(),
        "City": str(address.get("City", "")).upper(),
        "State": str(address.get("CountrySubdivision", "")),
        "Country": str(address.get("Country", "")),
        "Date": inquiry.at.strftime(_DATE),
    }


def match(inquiry: Inquired, listed: Listed) -> dict[str, Any]:
    """Describe a listed merchant and how it matches; numbers that identify somebody are masked."""
    merchant = listed.merchant
    sites = urls(inquiry.merchant, merchant)
    shown: dict[str, Any] = {name: str(merchant[name]).upper() for name in NAMES if merchant.get(name)}
    shown |= {name: merchant[name] for name in ("PhoneNumber", "AltPhoneNumber") if merchant.get(name)}
    shown |= {name: _MASKED for name in ("CountrySubdivisionTaxId", "NationalTaxId") if merchant.get(name)}
    shown |= {
        "AddedByAcquirerID": listed.acquirer,
        "AddedOnDate": listed.added_at.strftime(_DATE),
        "TerminationReasonCode": merchant["ReasonCode"],
        "Address": merchant.get("Address", {}),
        "Principal": [_person(each) for each in merchant.get("Principal") or []],
        "UrlGroup": [_url_group(sites)],
    }
    return {"Merchant": shown, "MerchantMatch": compared(inquiry.merchant, merchant)}


def _person(person: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: person[name] for name in ("FirstName", "LastName", "PhoneNumber", "Address") if person.get(name)}
    return shown | ({"NationalId": _MASKED} if person.get("NationalId") else {})


def _url_group(sites: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    exact, close, none = sites.values()
    group: dict[str, Any] = {"ExactMatchUrls": [{"Url": list(exact)}]} if exact else {}
    group |= {"CloseMatchUrls": [{"Url": list(close)}]} if close else {}
    return group | ({"NoMatchUrls": {"Url": list(none)}} if none else {})


def _matches(inquiry: Inquired, listed: Listed) -> bool:
    codes, sites = compared(inquiry.merchant, listed.merchant), urls(inquiry.merchant, listed.merchant)
    tells = matching({**codes, "Address": "M00"}, sites)  # many honest merchants share an address
    return tells > 0 and matching(codes, sites) >= inquiry.least


def _check_merchant(merchant: Mapping[str, Any]) -> None:
    _check_fields(merchant, _NEEDED, "Merchant")
    if "CountrySubdivisionTaxId" not in merchant:  # required, and blank outside of the United States
        raise Problem(400, "MISSING_REQUIRED_INPUT", "CountrySubdivisionTaxId")
    if merchant["ReasonCode"] not in REASONS:
        raise Problem(400, "INVALID_INPUT_VALUE", "ReasonCode")
    if len(str(merchant["MerchantId"])) >= 15:
        raise Problem(400, "INVALID_INPUT_LENGTH", "MerchantId")
    for name in ("DateOpened", "DateClosed"):
        try:
            datetime.strptime(str(merchant[name]), _DATE)  # noqa: DTZ007 - dates have no zone
        except ValueError:
            raise Problem(400, "INVALID_INPUT_FORMAT", name) from None
    _check_phone(merchant)
    _check_fields(merchant.get("Address") or {}, _ADDRESS, "Address")
    _check_people(merchant)
    sites = merchant.get("Url") or []
    if sum(len(str(each).encode()) for each in sites) > MAX_URL_BYTES:
        raise Problem(400, "INVALID_INPUT_LENGTH", "Url")


def _check_people(merchant: Mapping[str, Any]) -> None:
    people = merchant.get("Principal") or []
    if not isinstance(people, list) or len(people) > MAX_PRINCIPALS:
        raise Problem(400, "INVALID_INPUT_LENGTH", "Principal")
    for person in people:
        _check_fields(person, ("FirstName", "LastName"), "Principal")
        _check_phone(person)


def _check_phone(fields: Mapping[str, Any]) -> None:
    for name in ("PhoneNumber", "AltPhoneNumber"):
        if fields.get(name) and not re.fullmatch(r"\d{1,25}", str(fields[name])):
            raise Problem(400, "INVALID_INPUT_FORMAT", name)


def _check_fields(fields: Any, names: Sequence[str], source: str) -> None:
    if not isinstance(fields, Mapping):
        raise Problem(400, "INVALID_INPUT_VALUE", source)
    for name in names:
        if not str(fields.get(name) or "").strip():
            raise Problem(400, "MISSING_REQUIRED_INPUT", name)
