"""List a terminated merchant with MATCH."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar

from pydantic import Field

from paycordon.errors import FeedRefused, OutcomeUnknown, Refused
from paycordon.exchange.contract import (
    Contribution,
    ContributionKind,
    Here,
    Outgoing,
    Party,
    Receipt,
    Recipient,
    RecipientSettings,
    Verb,
)
from paycordon.exchange.inquiry import About, Likeness, Match
from paycordon.exchange.match.client import MatchAccess, MatchClient
from paycordon.exchange.match.documents import MOST_URL_BYTES, matches_of, merchant_of, part_of, written

_PREFIX = "match:"
_NEEDED = {
    "merchant_id": "`merchant_id`, the acquirer's own id of the merchant",
    "mcc": "`mcc`",
    "phone": "`phone`",
    "opened_on": "`opened_on`",
}
_LONGEST_ID = 14


class MatchRecipientSettings(RecipientSettings, MatchAccess):
    """How MATCH is told.

    Attributes:
        terminals: whether these merchants have terminals that cardholders activate themselves (`CATFlag`).
    """

    terminals: Annotated[bool, Field(strict=True)] = False


class MatchRecipient(Recipient[MatchRecipientSettings]):
    """Adds terminated merchants to the list.

    The description names no call that corrects a listing or takes it off: its lister does that in MATCH's own
    application, and people are told so.
    """

    format: ClassVar[str] = "match"
    about: ClassVar[str] = "adds terminated merchants to Mastercard's list (MATCH), which are taken off by hand"
    settings_type: ClassVar[type[RecipientSettings]] = MatchRecipientSettings
    verbs: ClassVar[frozenset[Verb]] = frozenset({Verb.ADD})
    kinds: ClassVar[frozenset[ContributionKind]] = frozenset({ContributionKind.TERMINATION})

    def __init__(self, settings: MatchRecipientSettings, here: Here) -> None:
        super().__init__(settings, here)
        self._client = MatchClient(settings)

    def check(self, content: Contribution) -> None:
        """Refuse what lacks a field that MATCH requires."""
        if content.kind is not ContributionKind.TERMINATION or content.party is None:
            raise Refused("MATCH lists terminated merchants: `party` is needed")
        if not (content.reason or "").startswith(_PREFIX):
            raise Refused("MATCH needs a `reason` of its own codes, such as `match:13`")
        party = content.party
        missing = [named for name, named in _NEEDED.items() if not getattr(party, name)]
        if _ended(content) is None:
            missing.append("`ended_on`")
        place = party.address
        if not (place.street and place.city and place.country):
            missing.append("`address` with street, city and country")
        if missing:
            raise Refused(f"MATCH needs of a merchant: {', '.join(missing)}")
        if len(party.merchant_id) > _LONGEST_ID:
            raise Refused(f"MATCH takes a `merchant_id` of at most {_LONGEST_ID} characters")
        if sum(len(url.encode()) for url in party.urls) > MOST_URL_BYTES:
            raise Refused(f"MATCH takes at most {MOST_URL_BYTES} bytes of `urls`")

    def send(self, message: Outgoing) -> Receipt:
        """Add a merchant, once: acquirer and merchant id together are unique there, and name the listing.

        So a second try is refused; whether it was because the first one got through is then asked.
        """
        if message.verb not in self.verbs or message.content is None:
            raise Refused("MATCH takes additions only; its own application corrects them and takes them off")
        self.check(message.content)
        party = message.content.party
        assert party is not None  # noqa: S101  # narrows the type; checked above
        theirs = f"{self.settings.acquirer_id}/{party.merchant_id}"
        body = {"AddMerchantRequest": {"AcquirerId": self.settings.acquirer_id, "Merchant": self._told(message)}}
        refusal = None
        try:
            answer = self._client.post("/add-merchant", body, {}, writing=True)
        except Refused as error:
            refusal = error
        if refusal is not None:
            if self._is_there(party, message.content.reason or ""):
                return Receipt(theirs, already=True)
            raise refusal
        if not isinstance(answer, dict) or "AddMerchantResponse" not in answer:
            raise OutcomeUnknown("MATCH answers something else than that it has added the merchant", answered=True)
        return Receipt(theirs)

    def _told(self, message: Outgoing) -> dict[str, Any]:
        content = message.content
        assert content is not None  # noqa: S101  # narrows the type
        assert content.party is not None  # noqa: S101  # as above
        party, ended = content.party, _ended(content)
        assert party.opened_on is not None  # noqa: S101  # as above
        assert ended is not None  # noqa: S101  # as above
        return {
            **merchant_of(party, "all"),
            "MerchantId": party.merchant_id,
            "MerchantCategory": party.mcc,
            "CountrySubdivisionTaxId": "",  # required, and blank outside of the United States; we hold none
            "CATFlag": "Y" if self.settings.terminals else "N",
            "DateOpened": written(party.opened_on),
            "DateClosed": written(ended),
            "ReasonCode": (content.reason or "").removeprefix(_PREFIX),
            **({"Comments": message.why} if message.why else {}),
        }

    def _is_there(self, party: Party, reason: str) -> bool:
        """Tell whether this acquirer has listed this very merchant: by an inquiry, as there is no own list."""
        asked = {
            "AcquirerId": self.settings.acquirer_id,
            "Merchant": {
                **merchant_of(party, "all"),
                "SearchCriteria": {"SearchAll": "Y", "MinPossibleMatchCount": "1"},
            },
        }
        query = {"PageOffset": 0, "PageLength": 100}
        answer = self._client.post("/termination-inquiry", {"TerminationInquiryRequest": asked}, query, writing=False)
        try:
            told = part_of(answer, "TerminationInquiry")
            _, found = matches_of(told.get("PossibleMerchantMatches"), self.here.digester)
        except FeedRefused:
            return False
        return any(self._is_ours(each, party, reason) for each in found)

    def _is_ours(self, match: Match, party: Party, reason: str) -> bool:
        exact = {each.about for each in match.matched if each.likeness is Likeness.EXACT}
        needed = {About.LEGAL_NAME, About.ADDRESS, About.PHONE} | ({About.TAX_ID} if party.tax_id else set())
        return match.listed_by == self.settings.acquirer_id and match.reason == reason and exact >= needed


def _ended(content: Contribution) -> date | None:
    return content.ended_on or (content.party.closed_on if content.party else None)
