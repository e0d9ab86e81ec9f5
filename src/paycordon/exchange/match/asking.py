"""Ask MATCH whether a merchant was terminated, and what was listed since."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from paycordon.errors import FeedRefused, Refused
from paycordon.exchange.contract import Here, Party
from paycordon.exchange.inquiry import Answer, Inquiry, InquirySettings, Match
from paycordon.exchange.match.client import MatchAccess, MatchClient
from paycordon.exchange.match.documents import MOST_MATCHES, matches_of, merchant_of, part_of, several

PAGE = 25
MOST_LATER = 10_000
_REFERENCE = re.compile(r"[0-9A-Za-z]{1,64}")


class MatchInquirySettings(InquirySettings, MatchAccess):
    """How MATCH is asked.

    Attributes:
        least: how many fields have to match for a listed merchant to be named.
    """

    least: Annotated[int, Field(ge=1, le=20)] = 1


class MatchInquiry(Inquiry[MatchInquirySettings]):
    """Asks Mastercard's list of terminated merchants."""

    format: ClassVar[str] = "match"
    about: ClassVar[str] = "asks Mastercard's list of terminated merchants (MATCH), and hears of later listings"
    settings_type: ClassVar[type[InquirySettings]] = MatchInquirySettings

    def __init__(self, settings: MatchInquirySettings, here: Here) -> None:
        super().__init__(settings, here)
        self._client = MatchClient(settings)

    def ask(self, party: Party, key: str) -> Answer:
        """Ask, and read all pages of the answer."""
        merchant = merchant_of(party, self.settings.tax_ids)
        criteria = {"SearchAll": "Y", "MinPossibleMatchCount": str(self.settings.least)}
        asked = {
            "AcquirerId": self.settings.acquirer_id,
            "TransactionReferenceNumber": key,
            "Merchant": {**merchant, "SearchCriteria": criteria},
        }
        query = {"PageOffset": 0, "PageLength": PAGE}
        # It changes nothing there that anybody would have to undo, so that it may simply be asked again.
        first = self._client.post("/termination-inquiry", {"TerminationInquiryRequest": asked}, query, writing=False)
        try:
            return self._read(first, key)
        except FeedRefused as error:
            raise Refused(f"the answer of MATCH cannot be taken: {error}") from None

    def later(self, watched: Collection[str]) -> Iterator[Answer]:
        """Read the list of inquiries with later matches, and the details of those that are watched."""
        acquirer = {"AcquirerId": self.settings.acquirer_id}
        listed = self._client.post("/retro/retro-list", {"RetroRequest": acquirer}, {}, writing=False)
        refusal = None
        try:
            references = _references(listed)
        except FeedRefused as error:
            raise Refused(f"the answer of MATCH cannot be taken: {error}") from None
        for reference in references:
            if reference not in watched:
                continue
            try:
                answer = self._details(reference)
            except FeedRefused as error:  # one that cannot be read keeps nobody from hearing of the others
                refusal = refusal or error
                continue
            yield answer
        if refusal is not None:
            raise Refused(f"the answer of MATCH cannot be taken: {refusal}")

    def _details(self, reference: str) -> Answer:
        asked = {"RetroInquiryRequest": {"InquiryReferenceNumber": reference}}
        query = {"AcquirerId": self.settings.acquirer_id}
        answer = self._client.post("/retro/retro-inquiry-details", asked, query, writing=False)
        possible = part_of(answer, "RetroInquiryResponse").get("PossibleMerchantMatches")
        return Answer(reference, tuple(matches_of(possible, self.here.digester)[1]))

    def _read(self, first: Any, key: str) -> Answer:
        told = part_of(first, "TerminationInquiry")
        reference = _reference_in(told.get("Ref"))
        total, found = matches_of(told.get("PossibleMerchantMatches"), self.here.digester)
        while len(found) < total:
            if reference is None:
                raise FeedRefused("it has more pages, and no reference to read them by")
            more = self._page(reference, len(found))
            if not more or len(found) + len(more) > MOST_MATCHES:
                raise FeedRefused("its pages do not come to the number that it states")
            found += more
        # Without a reference nothing can be heard of it later; it is then known by our own name for it.
        return Answer(reference or key, tuple(found))

    def _page(self, reference: str, start: int) -> list[Match]:
        query = {"PageOffset": start, "PageLength": PAGE, "AcquirerId": self.settings.acquirer_id}
        told = part_of(self._client.get(f"/termination-inquiry/{reference}", query), "TerminationInquiry")
        return matches_of(told.get("PossibleMerchantMatches"), self.here.digester)[1]


def _reference_in(ref: Any) -> str | None:
    """Return the inquiry's number, which stands at the end of the address that MATCH gives of it."""
    last = ref.rstrip("/").rpartition("/")[2] if isinstance(ref, str) else ""
    return last if _REFERENCE.fullmatch(last) else None


def _references(answer: Any) -> list[str]:
    told = part_of({"answer": answer}, "answer").get("RetroResponse")
    found = several(told, "`RetroResponse`")
    if len(found) > MOST_LATER:
        raise FeedRefused(f"it lists more than {MOST_LATER} inquiries")
    numbers = [each.get("RefNum") for each in found]
    return [number for number in numbers if isinstance(number, str) and _REFERENCE.fullmatch(number)]
