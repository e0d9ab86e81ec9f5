"""What the simulated exchange keeps: descriptors of indicators, their owners, tags and reactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from paycordon.simulated.threatexchange.problems import Problem, missing
from paycordon.simulation import Ledger

TYPES = frozenset(
    {"BANK_ACCOUNT", "CRYPTOCURRENCY_WALLET", "DOMAIN", "EMAIL_ADDRESS", "HASH_MD5", "HASH_SHA256", "IP_ADDRESS",
     "PHONE_NUMBER", "URI"}
)  # fmt: skip
STATUSES = ("MALICIOUS", "SUSPICIOUS", "UNKNOWN", "NON_MALICIOUS")
REACTIONS = frozenset(
    {"DISAGREE_WITH_TAGS", "HELPFUL", "INGESTED", "IN_REVIEW", "NON_MALICIOUS", "NOT_HELPFUL", "OUTDATED", "REVIEWED",
     "SAW_THIS_TOO", "WANT_MORE_INFO"}
)  # fmt: skip
_NEEDED = ("description", "indicator", "privacy_type", "share_level", "status", "type")
_EDITED = (
    *("confidence", "description", "expired_on", "precision", "privacy_members", "privacy_type", "review_status"),
    *("severity", "share_level", "status"),
)
_HIDDEN = frozenset({"AMBER", "RED"})


@dataclass(slots=True)
class Descriptor:
    """What one member says of one indicator."""

    id: str
    owner: str
    indicator: str
    fields: dict[str, str]
    tags: list[str]
    added_at: datetime
    updated_at: datetime
    deleted: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)

    @property
    def groups(self) -> frozenset[str]:
        """The privacy groups that see it."""
        return frozenset(self.fields.get("privacy_members", "").split(","))


@dataclass(slots=True)
class Indicator:
    """One value of one type, whatever is said of it."""

    id: str
    type: str
    value: str
    updated_at: datetime
    order: int


class Exchange(Ledger):
    """All that was shared. Whoever uses it holds `lock`."""

    def __init__(self, clock: Callable[[], datetime], groups: Iterable[str]) -> None:
        super().__init__(clock)
        self.groups = frozenset(groups)
        self.descriptors: dict[str, Descriptor] = {}
        self.indicators: dict[str, Indicator] = {}
        self.tags: set[str] = set()  # a tag stays when nothing carries it any more
        self._ids: dict[tuple[str, str], str] = {}

    def describe(self, owner: str, given: Mapping[str, str]) -> Descriptor:
        """Take in a descriptor.

        Raises:
            Problem: something is missing or malformed.
        """
        for name in _NEEDED:
            if not given.get(name):
                raise Problem(400, 100, f"(#100) The parameter {name} is required")
        if given["type"] not in TYPES:
            raise Problem(400, 100, "(#100) Param type must be one of the known types")
        self._check(given)
        now = self.clock()
        about = self._indicator(given["type"], given["indicator"])
        fields = {name: given[name] for name in ("type", *_EDITED) if name in given}
        made = Descriptor(self._id(), owner, about.id, fields, _tags(given.get("tags", "")), now, now)
        self.descriptors[made.id] = made
        self.tags.update(made.tags)
        self._touch(made)
        self._expire(made)
        return made

    def edit(self, member: str, id_: str, given: Mapping[str, str]) -> None:
        """Change a descriptor of one's own, or react to anybody's.

        Raises:
            Problem: there is none, it is somebody else's, or a value is malformed.
        """
        found = self.seen(member, id_)
        self._react(found, member, given)
        changes = {name: value for name, value in given.items() if name in _EDITED}
        if not changes and "tags" not in given:
            return
        if found.owner != member:
            raise Problem(403, 10, "(#10) Application does not have permission for this action")
        self._check({**found.fields, **changes})
        found.fields |= changes
        if "tags" in given:
            found.tags = _tags(given["tags"])
            self.tags.update(found.tags)
        self._touch(found)
        self._expire(found)

    def delete(self, member: str, id_: str) -> None:
        """Delete a descriptor of one's own.

        Raises:
            Problem: there is none, or it is somebody else's.
        """
        found = self.seen(member, id_)
        if found.owner != member:
            raise Problem(403, 10, "(#10) Application does not have permission for this action")
        self._gone(found)

    def seen(self, _: str, id_: str) -> Descriptor:
        """Return a descriptor; every member is in every group.

        Raises:
            Problem: there is none.
        """
        found = self.descriptors.get(id_)
        if found is None or found.deleted:
            raise missing()
        return found

    def of(self, indicator: str) -> list[Descriptor]:
        """Return what is said of an indicator now."""
        return [each for each in self.descriptors.values() if each.indicator == indicator and not each.deleted]

    def tagged(self, tag: str) -> list[Descriptor]:
        """Return what carries a tag now."""
        return [each for each in self.descriptors.values() if tag in each.tags and not each.deleted]

    def updates(self, group: str, since: int) -> list[Indicator]:
        """Return the indicators that a group has heard of and that changed since, oldest change first."""
        heard = {each.indicator for each in self.descriptors.values() if group in each.groups}
        found = [each for id_, each in self.indicators.items() if id_ in heard and each.updated_at.timestamp() >= since]
        return sorted(found, key=lambda each: each.order)

    def _react(self, found: Descriptor, member: str, given: Mapping[str, str]) -> None:
        for name in _tags(given.get("reactions", "")):
            if name not in REACTIONS:
                raise Problem(400, 100, "(#100) Param reactions must be one of the known reactions")
            members = found.reactions.setdefault(name, [])
            if member not in members:
                members.append(member)
                self.changed(found.id, name, None, member)

    def _check(self, given: Mapping[str, str]) -> None:
        if given["status"] not in STATUSES:
            raise Problem(400, 100, "(#100) Param status must be one of the known statuses")
        confidence = given.get("confidence", "50")
        if not confidence.isdecimal() or int(confidence) > 100:
            raise Problem(400, 100, "(#100) Param confidence must be between 0 and 100")
        hidden = given["privacy_type"] == "HAS_PRIVACY_GROUP"
        if hidden is not (given["share_level"] in _HIDDEN):
            raise Problem(400, 100, "(#100) share_level does not go with privacy_type")
        if hidden and not self.groups >= set(given.get("privacy_members", "").split(",")):
            raise Problem(400, 100, "(#100) Param privacy_members must be privacy groups")

    def _expire(self, found: Descriptor) -> None:
        """Delete a descriptor when its time is over; at once if that has been."""
        given = found.fields.get("expired_on")
        if not given:
            return
        try:
            when = datetime.fromtimestamp(int(given), UTC) if given.isdecimal() else datetime.fromisoformat(given)
        except (ValueError, OverflowError):
            raise Problem(400, 100, "(#100) Param expired_on must be a time") from None

        def end() -> None:
            if found.fields.get("expired_on") == given and not found.deleted:
                self._gone(found)

        if when <= self.clock():
            end()
        else:
            self.timeline.at(when, end)

    def _gone(self, found: Descriptor) -> None:
        found.deleted = True
        self._touch(found)

    def _touch(self, found: Descriptor) -> None:
        found.updated_at = self.clock()
        about = self.indicators[found.indicator]
        about.updated_at, about.order = self.clock(), self.next_number("update")
        self.changed(found.id, "deleted" if found.deleted else "described", None, about.order)

    def _indicator(self, type_: str, value: str) -> Indicator:
        known = self._ids.get((type_, value))
        if known is None:
            known = self._ids[type_, value] = self._id()
            self.indicators[known] = Indicator(known, type_, value, self.clock(), 0)
        return self.indicators[known]

    def _id(self) -> str:
        return f"{1_000_000_000_000_000 + self.next_number('object')}"


def _tags(text: str) -> list[str]:
    return [each for each in text.split(",") if each]
