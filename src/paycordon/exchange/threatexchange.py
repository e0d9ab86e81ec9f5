"""Tell ThreatExchange (Lantern): descriptors of indicators for a privacy group, and reactions to those of others.

By the public description of the Graph API. Each contribution has a tag of its own, made of our name for it and saying
nothing: by it what was taken before an answer was lost is found again, corrected and deleted. Tried against a simulator
over HTTP (`paycordon simulate threatexchange`), not against the service itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
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
from paycordon.feeds.contract import Period
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
_Name = tuple[str, str]  # type and value


@dataclass(frozen=True, slots=True)
class _Step:
    """Something to write: returns an id; `undo` takes back what is under it."""

    take: Callable[[], str]
    undo: Callable[[str], str] | None = None


class ThreatExchangeRecipientSettings(RecipientSettings):
    """Whom is told.

    Attributes:
        url: of the Graph API with its version, such as `https://graph.facebook.com/v19.0`.
        group: the privacy group that sees what is told.
        token: the app's access token.
        severity: how severe what is described is.
        within: how long an answer is waited for.
        tags: put on each descriptor, as the group's rules want.
    """

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    group: Annotated[str, Field(pattern=r"^\d{1,24}$")]
    token: Annotated[StrictStr, Field(repr=False, min_length=1)]
    severity: Literal["UNKNOWN", "INFO", "WARNING", "SUSPICIOUS", "SEVERE", "APOCALYPSE"] = "WARNING"
    within: Annotated[Period, Field(gt=timedelta(0), le=timedelta(minutes=2))] = timedelta(seconds=30)
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
        self._line = Line("ThreatExchange", settings.within.total_seconds())

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
        if message.verb is not Verb.RETRACT:
            if message.content is None:
                raise Refused("there is nothing to tell")
            self.check(message.content)
        tag = _tag(message.id)
        there = self._described(tag)
        steps = list(self._steps(message, tag, there))
        _take(steps)
        return Receipt(tag, already=there is not None and not steps)

    def _steps(self, message: Outgoing, tag: str, there: Mapping[_Name, str] | None) -> Iterator[_Step]:
        """Say what has to be written so that what is described there is what is told; without items it stays.

        Of what was told once and is described no more everything was taken back: what comes late does not undo that.
        """
        if message.content is None:
            for id_ in (there or {}).values():
                yield _Step(partial(self._delete, id_))
            return
        wanted = {(TYPES[item.kind], item.value or ""): item for item in message.content.items}
        if message.verb is Verb.ADD and there == {}:
            return
        known = there or {}
        if not wanted and message.verb is Verb.CORRECT:
            words = {"description": self._description(message)}
            yield from (_Step(partial(self._edit, id_, words)) for id_ in known.values())
        for name, item in wanted.items():
            fields = self._fields(item, message, tag)
            if name not in known:
                yield _Step(partial(self._describe, name, fields), self._delete)
            elif message.verb is Verb.CORRECT:
                yield _Step(partial(self._edit, known[name], fields))
        for name in (known.keys() - wanted.keys()) if wanted and message.verb is Verb.CORRECT else ():
            yield _Step(partial(self._delete, known[name]))

    def _fields(self, item: Item, message: Outgoing, tag: str) -> dict[str, str]:
        licence = f" Licence: {item.licence}." if item.licence else ""
        fields = {
            "confidence": str(item.confidence),
            "description": self._description(message) + licence,
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

    def _description(self, message: Outgoing) -> str:
        """Say why in neutral words, whose word it is where it is not ours, and whether the merchant objects."""
        content = message.content
        words = [message.why or _NEUTRAL]
        if content is not None and content.origin:
            words.append(f"By {content.origin}.")
        if content is not None and content.appeal:
            words.append("The merchant objects; this is undecided.")
        return " ".join(words)

    def _describe(self, name: _Name, fields: Mapping[str, str]) -> str:
        type_, value = name
        answered = self._write("POST", "threat_descriptors", {"type": type_, "indicator": value, **fields})
        if not isinstance(answered, dict) or not _ID.fullmatch(str(answered.get("id"))):
            raise OutcomeUnknown("ThreatExchange answers without an id", answered=True)
        return str(answered["id"])

    def _edit(self, id_: str, fields: Mapping[str, str]) -> str:
        self._write("POST", id_, fields)
        return id_

    def _delete(self, id_: str) -> str:
        self._write("DELETE", id_, {}, gone=True)
        return id_

    def _react(self, message: Outgoing) -> Receipt:
        """React to whatever others describe of an indicator.

        What follows updates, as our feed does, knows indicators by an id of their own; reactions are to descriptors.
        Reacting twice is reacting once.
        """
        theirs = message.theirs or ""
        if message.worth is None or not _ID.fullmatch(theirs):
            raise Refused("feedback needs `worth`, and the id of an indicator or descriptor there")
        own = self.settings.token.partition("|")[0]
        reaction = {"reactions": REACTIONS[message.worth]}
        others = [id_ for id_, owner in self._descriptors_of(theirs) if owner != own]
        _take([_Step(partial(self._edit, id_, reaction)) for id_ in others])
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

    def _described(self, tag: str) -> dict[_Name, str] | None:
        """Return the ids of our descriptors of one contribution, by type and value; none if it was never told."""
        try:
            tags = as_list(self._taken(self._get("threat_tags", {"text": tag})).get("data", []), "`data`")
            ids = [each.get("id") for each in tags if isinstance(each, dict) and each.get("text") == tag]
            if not ids:
                return None
            found: dict[_Name, str] = {}
            for id_ in self._tagged(ids):
                fields = self._taken(self._get(id_, {"fields": "id,type,raw_indicator,owner"}))
                found[str(fields.get("type")), str(fields.get("raw_indicator"))] = id_
            return found
        except FeedRefused as error:
            raise RetryLater(f"the answer of ThreatExchange cannot be taken: {error}") from None

    def _tagged(self, tag_ids: Sequence[Any]) -> Iterator[str]:
        for tag_id in tag_ids:
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


def _take(steps: Sequence[_Step]) -> None:
    """Take steps one after the other, so that either all are taken, none is, or it is said not to be known.

    Raises:
        RetryLater: the first was not taken, nor any after it.
        Refused: one is never taken; what this had described before is deleted again.
        OutcomeUnknown: some are taken, or may be.
    """
    done: list[tuple[_Step, str]] = []
    refusal = None
    for step in steps:
        try:
            done.append((step, step.take()))
        except RetryLater as error:
            if not done:
                raise
            raise OutcomeUnknown(f"a part was taken: {error}", answered=True) from None
        except Refused as error:
            refusal = error
            break
    if refusal is None:
        return
    try:
        for step, id_ in done:
            if step.undo is not None:
                step.undo(id_)
    except (RetryLater, Refused, OutcomeUnknown):
        raise OutcomeUnknown(f"a part was taken, and the rest not: {refusal}", answered=True) from None
    raise refusal


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
