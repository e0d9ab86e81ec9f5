"""Tell ThreatExchange (Lantern): descriptors of indicators for a privacy group, and reactions to those of others.

By the public description of the Graph API. Each contribution has a tag of its own, made of our name for it and saying
nothing: by it what was taken before an answer was lost is found again, corrected and deleted. Tried against a simulator
over HTTP (`paycordon simulate threatexchange`), not against the service itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote, urlencode

from pydantic import Field, StrictStr

from paycordon.coalition.indicators import Tlp
from paycordon.errors import FeedRefused, OutcomeUnknown, Refused, RetryLater
from paycordon.exchange.calling import Answered, Line, check_url
from paycordon.exchange.contract import (
    Contribution,
    ContributionKind,
    Here,
    Outgoing,
    Receipt,
    Recipient,
    RecipientSettings,
    Verb,
    Worth,
)
from paycordon.feeds.items import Item
from paycordon.feeds.reading import as_list, as_mapping
from paycordon.feeds.threatexchange import KINDS

TYPES = {kind: type_ for type_, kind in KINDS.items()}
REACTIONS = {Worth.USEFUL: "HELPFUL", Worth.NOT_USEFUL: "NOT_HELPFUL", Worth.FALSE_POSITIVE: "NON_MALICIOUS"}
MOST_ITEMS = 200
# Its levels are those of an older Traffic Light Protocol; a privacy group may have AMBER and RED only, so that what may
# go further is told as AMBER, which is stricter.
_SHARE_LEVELS = {Tlp.RED: "RED"}
_SURE, _LIKELY = 80, 50
_PAGE = 500
_ID = re.compile(r"\d{1,24}")
_NEUTRAL = "Shared by a payment facilitator."


class ThreatExchangeRecipientSettings(RecipientSettings):
    """Whom is told.

    Attributes:
        url: of the Graph API with its version, such as `https://graph.facebook.com/v19.0`.
        group: the privacy group that sees what is told.
        token: the app's access token.
        severity: how severe what is described is.
        tags: put on each descriptor, as the group's rules want.
    """

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    group: Annotated[str, Field(pattern=r"^\d{1,24}$")]
    token: Annotated[StrictStr, Field(repr=False, min_length=1)]
    severity: Literal["UNKNOWN", "INFO", "WARNING", "SUSPICIOUS", "SEVERE", "APOCALYPSE"] = "WARNING"
    tags: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_:-]{1,64}$")], ...] = ()


class ThreatExchangeRecipient(Recipient[ThreatExchangeRecipientSettings]):
    """Describes each identifier by a descriptor of its own; judges others' by reactions."""

    format: ClassVar[str] = "threatexchange"
    about: ClassVar[str] = "descriptors for a ThreatExchange privacy group, and reactions to those of others"
    settings_type: ClassVar[type[RecipientSettings]] = ThreatExchangeRecipientSettings
    verbs: ClassVar[frozenset[Verb]] = frozenset(Verb)
    kinds: ClassVar[frozenset[ContributionKind]] = frozenset(ContributionKind)

    def __init__(self, settings: ThreatExchangeRecipientSettings, here: Here) -> None:
        super().__init__(settings, here)
        check_url(settings.url)
        self._line = Line("ThreatExchange")

    def check(self, content: Contribution) -> None:
        """Refuse identifiers of kinds that it has no type for, or that are known by their digest only."""
        if not content.items and not content.appeal:
            raise Refused("ThreatExchange takes identifiers, and `items` is empty")
        if len(content.items) > MOST_ITEMS:
            raise Refused(f"ThreatExchange is told at most {MOST_ITEMS} identifiers at a time")
        for number, item in enumerate(content.items, start=1):
            if item.kind not in TYPES:
                known = ", ".join(sorted(TYPES))
                raise Refused(f"item {number}: ThreatExchange has no type for `{item.kind}` (it has for: {known})")
            if item.value is None:
                raise Refused(f"item {number}: ThreatExchange takes values as they are, and this is a digest")

    def send(self, message: Outgoing) -> Receipt:
        """Describe, edit, delete or react; what is there already is left as it is."""
        if message.verb is Verb.FEEDBACK:
            return self._react(message)
        tag = _tag(message.id)
        there = self._described(tag)
        if message.verb is Verb.RETRACT:
            for id_ in there.values():
                self._delete(id_)
            return Receipt(tag, already=not there)
        if message.content is None:
            raise Refused("there is nothing to tell")
        self.check(message.content)
        wanted = {(TYPES[item.kind], item.value or ""): item for item in message.content.items}
        if message.verb is Verb.ADD:
            return self._add(message, tag, wanted, there)
        return self._correct(message, tag, wanted, there)

    def _add(
        self, message: Outgoing, tag: str, wanted: Mapping[tuple[str, str], Item], there: Mapping[tuple[str, str], str]
    ) -> Receipt:
        for name, item in wanted.items():
            if name not in there:
                self._describe(name, self._fields(item, message, tag))
        return Receipt(tag, already=bool(wanted) and there.keys() >= wanted.keys())

    def _correct(
        self, message: Outgoing, tag: str, wanted: Mapping[tuple[str, str], Item], there: Mapping[tuple[str, str], str]
    ) -> Receipt:
        """Make what is described there what is told now; without items it stays."""
        for name, item in wanted.items():
            fields = self._fields(item, message, tag)
            if name in there:
                self._write("POST", there[name], fields)
            else:
                self._describe(name, fields)
        for name in (there.keys() - wanted.keys()) if wanted else ():
            self._delete(there[name])
        return Receipt(tag)

    def _fields(self, item: Item, message: Outgoing, tag: str) -> dict[str, str]:
        content = message.content
        contested = " The merchant objects; this is undecided." if content is not None and content.appeal else ""
        fields = {
            "confidence": str(item.confidence),
            "description": (message.why or _NEUTRAL) + contested,
            "privacy_members": self.settings.group,
            "privacy_type": "HAS_PRIVACY_GROUP",
            "review_status": "REVIEWED_MANUALLY",  # two people have agreed
            "severity": self.settings.severity,
            "share_level": _SHARE_LEVELS.get(item.tlp, "AMBER"),
            "status": _status(item.confidence),
            "tags": ",".join((*self.settings.tags, tag)),
        }
        if item.valid_until is not None:
            fields["expired_on"] = item.valid_until.isoformat()
        return fields

    def _describe(self, name: tuple[str, str], fields: Mapping[str, str]) -> None:
        type_, value = name
        answered = self._write("POST", "threat_descriptors", {"type": type_, "indicator": value, **fields})
        if not isinstance(answered, dict) or not _ID.fullmatch(str(answered.get("id"))):
            raise OutcomeUnknown("ThreatExchange answers without an id", answered=True)

    def _delete(self, id_: str) -> None:
        self._write("DELETE", id_, {}, gone=True)

    def _react(self, message: Outgoing) -> Receipt:
        """React to whatever others describe of an indicator.

        What follows updates, as our feed does, knows indicators by an id of their own; reactions are to descriptors.
        Reacting twice is reacting once.
        """
        theirs = message.theirs or ""
        if message.worth is None or not _ID.fullmatch(theirs):
            raise Refused("feedback needs `worth`, and the id of an indicator or descriptor there")
        own = self.settings.token.partition("|")[0]
        for id_, owner in self._descriptors_of(theirs):
            if owner != own:
                self._write("POST", id_, {"reactions": REACTIONS[message.worth]})
        return Receipt(theirs)

    def _descriptors_of(self, id_: str) -> list[tuple[str, str]]:
        answered = self._get(id_, {"fields": "id,descriptors{id,owner{id}}"})
        if answered.status == 400:
            return [(id_, "")]  # it is a descriptor itself
        try:
            document = self._taken(answered)
            each = as_list(as_mapping(document.get("descriptors", {}), "`descriptors`").get("data", []), "`data`")
            found = [as_mapping(one, "a descriptor") for one in each]
            return [(_id_of(one), str(as_mapping(one.get("owner", {}), "`owner`").get("id", ""))) for one in found]
        except FeedRefused as error:
            raise Refused(f"the answer of ThreatExchange cannot be taken: {error}") from None

    def _described(self, tag: str) -> dict[tuple[str, str], str]:
        """Return the ids of our descriptors of one contribution, by type and value."""
        try:
            found: dict[tuple[str, str], str] = {}
            for id_ in self._tagged(tag):
                fields = self._taken(self._get(id_, {"fields": "id,type,raw_indicator,owner"}))
                found[str(fields.get("type")), str(fields.get("raw_indicator"))] = id_
            return found
        except FeedRefused as error:
            raise RetryLater(f"the answer of ThreatExchange cannot be taken: {error}") from None

    def _tagged(self, tag: str) -> Iterator[str]:
        tags = as_list(self._taken(self._get("threat_tags", {"text": tag})).get("data", []), "`data`")
        ids = [each.get("id") for each in tags if isinstance(each, dict) and each.get("text") == tag]
        for tag_id in ids:
            path = f"{quote(str(tag_id), safe='')}/tagged_objects"
            page = self._taken(self._get(path, {"fields": "id,type", "limit": _PAGE}))
            if as_mapping(page.get("paging", {}), "`paging`").get("next") is not None:
                raise FeedRefused(f"more than {_PAGE} objects carry the tag of one contribution")
            for each in as_list(page.get("data", []), "`data`"):
                yield _id_of(as_mapping(each, "an object"))

    def _taken(self, answered: Answered) -> Mapping[str, Any]:
        if answered.status >= 400:
            raise self._line.problem(answered, _code(answered), writing=False)
        return as_mapping(answered.body, "its answer")

    def _get(self, path: str, query: Mapping[str, Any]) -> Answered:
        return self._line.call("GET", self._url(path, query), self._headers(), writing=False)

    def _write(self, method: str, path: str, fields: Mapping[str, str], *, gone: bool = False) -> Any:
        headers = {**self._headers(), "content-type": "application/x-www-form-urlencoded"}
        answered = self._line.call(method, self._url(path, {}), headers, urlencode(fields).encode(), writing=True)
        if answered.status == 404 and gone:
            return None
        if answered.status >= 400:
            raise self._line.problem(answered, _code(answered), writing=True)
        return answered.body

    def _url(self, path: str, query: Mapping[str, Any]) -> str:
        return f"{self.settings.url.rstrip('/')}/{path}" + (f"?{urlencode(query)}" if query else "")

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.settings.token}"}


def _status(confidence: int) -> str:
    return "MALICIOUS" if confidence >= _SURE else "SUSPICIOUS" if confidence >= _LIKELY else "UNKNOWN"


def _tag(id_: str) -> str:
    return f"paycordon_{hashlib.sha256(id_.encode()).hexdigest()[:24]}"


def _id_of(fields: Mapping[str, Any]) -> str:
    id_ = str(fields.get("id"))
    if not _ID.fullmatch(id_):
        raise FeedRefused("an `id` is none")
    return id_


def _code(answered: Answered) -> str | None:
    error = answered.body.get("error") if isinstance(answered.body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return str(code) if type(code) is int else None
