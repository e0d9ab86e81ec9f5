"""What may be told to whom: decided here and nowhere else, by the marks that knowledge carries.

Two kinds of knowledge are told apart. Others' knowledge is passed on only as they allow: by a licence that the
recipient is known to keep, with leave to share it again, and no further than its mark of the Traffic Light Protocol
goes. Own knowledge has a mark of its own; what another source says of the same identifier must not ride along in it,
for that would leak what the source gave in confidence, and let one rumour come back as two.

Pure: asked when something is drafted, when a second person agrees, and by the worker right before it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from paycordon.coalition.indicators import Indicator, Status, Tlp
from paycordon.errors import NotFound
from paycordon.exchange.contract import Audience, Contribution, ContributionKind, Recipient, RecipientSettings
from paycordon.feeds.items import Item

# FIRST's TLP 2.0: clear for the world; green within the community, not by public channels; amber within one's own
# organisation and its clients; amber+strict within the organisation; red for those who heard it.
LETS_THROUGH: Mapping[Audience, Set[str]] = {
    Audience.CLIENTS: frozenset({Tlp.AMBER, Tlp.GREEN, Tlp.CLEAR}),
    Audience.COMMUNITY: frozenset({Tlp.GREEN, Tlp.CLEAR}),
    Audience.PUBLIC: frozenset({Tlp.CLEAR}),
}
"""Which marks may be told to recipients of each audience; whatever is not named here may not."""

_STRICTEST_FIRST = (Tlp.RED, Tlp.AMBER_STRICT, Tlp.AMBER, Tlp.GREEN, Tlp.CLEAR)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Whom this deployment tells what it knows.

    Attributes:
        recipients: by their names in the configuration.
        own: the sources whose indicators are this deployment's own knowledge.
    """

    recipients: Mapping[str, Recipient[Any]] = field(default_factory=dict)
    own: Set[str] = frozenset()

    def recipient(self, name: str) -> Recipient[Any]:
        """Return one recipient.

        Raises:
            NotFound: there is none of that name.
        """
        found = self.recipients.get(name)
        if found is None:
            known = ", ".join(f"`{each}`" for each in self.recipients) or "none; add one under `exchange`"
            raise NotFound(f"there is no recipient `{name}`; configured: {known}")
        return found


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known here of one item that is to be told.

    Attributes:
        seen: whether the identifier was ever seen with the merchant.
        shared_by: why it names nobody in particular, such as `mailbox provider`; none if it may.
        others: what other sources say of it here, and count.
        relayed: the very indicator that is passed on, as it counts now; none if it does not count.
    """

    seen: bool = False
    shared_by: str | None = None
    others: Sequence[Indicator] = ()
    relayed: Indicator | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What people state in a draft beside what is told: that it is independent, that unseen identifiers are meant."""

    independent: bool = False
    unseen: bool = False


def stricter(one: str, other: str) -> Tlp:
    """Return the stricter of two marks; one that is not known counts as the strictest."""
    known = [mark for mark in _STRICTEST_FIRST if mark in (one, other)]
    return known[0] if {one, other} <= set(_STRICTEST_FIRST) else Tlp.RED


def beyond_mark(tlp: str, audience: Audience) -> str:
    """Say why a mark does not let something through to an audience; empty if it does."""
    if tlp in LETS_THROUGH[audience]:
        return ""
    let = ", ".join(sorted(LETS_THROUGH[audience]))
    return f"TLP:{tlp.upper()} does not go to `{audience}` (that takes one of: {let})"


def beyond_terms(indicator: Indicator, settings: RecipientSettings, now: datetime) -> str:
    """Say why another source's knowledge may not be passed on to a recipient; empty if it may."""
    if not counts(indicator, now):
        return "its source does not say so any more"
    if settings.source is not None and indicator.source == settings.source:
        return "it came from this recipient"
    if not indicator.reshare:
        return "its source does not allow to pass it on"
    if not indicator.licence:
        return "its source states no licence"
    if indicator.licence not in settings.licences:
        return f"the recipient is not known to keep the licence `{indicator.licence}` (`licences`)"
    return beyond_mark(indicator.tlp, settings.audience)


def counts(indicator: Indicator, now: datetime) -> bool:
    """Tell whether an indicator is its source's word now: not withdrawn, not refuted, within its time."""
    begun = indicator.valid_from is None or indicator.valid_from <= now
    over = indicator.valid_until is not None and indicator.valid_until <= now
    return begun and not over and indicator.withdrawn_at is None and indicator.status != Status.REFUTED


def refusals(
    content: Contribution, standing: Sequence[Standing], settings: RecipientSettings, said: Said, now: datetime
) -> list[str]:
    """Say all that stands against telling a recipient something; empty if nothing does. Repeats no value.

    Args:
        content: what is to be told.
        standing: what is known of each of its items, in their order.
        settings: the recipient's.
        said: what people stated in the draft.
        now: the time, UTC.
    """
    found: list[str] = []
    if not content.items and content.kind is not ContributionKind.TERMINATION:
        found.append("there is nothing to tell: `items` is empty")
    if content.party is not None and (doubt := beyond_mark(content.tlp, settings.audience)):
        found.append(f"the party: {doubt}")
    if content.party is not None and content.kind is not ContributionKind.TERMINATION:
        found.append("the party: only a termination says who it was")
    for number, (item, known) in enumerate(zip(content.items, standing, strict=True), start=1):
        own = content.kind is not ContributionKind.RELAY
        doubts = _own(item, known, settings, said) if own else _relay(item, content.origin, known, settings, now)
        if known.shared_by is not None:
            doubts.append(f"it is a {known.shared_by}'s and would match everybody there")
        found += [f"item {number} (`{item.kind}`): {doubt}" for doubt in doubts]
    return found


def lasting(content: Contribution, until: datetime | None) -> Contribution:
    """Return what is told with an end: none of its items lasts longer at the recipient than until then."""
    if until is None:
        return content
    items = tuple(
        item
        if item.valid_until is not None and item.valid_until <= until
        else item.model_copy(update={"valid_until": until})
        for item in content.items
    )
    return content.model_copy(update={"items": items})


def _own(item: Item, known: Standing, settings: RecipientSettings, said: Said) -> list[str]:
    doubts = [beyond_mark(item.tlp, settings.audience)]
    if known.others and not said.independent:
        doubts.append("another source says it here too: pass that on as a relay, or state how yours is independent")
    if not known.seen and not said.unseen:
        doubts.append("it was never seen with this merchant: state why it is theirs, or leave it out")
    return [doubt for doubt in doubts if doubt]


def _relay(item: Item, origin: str, known: Standing, settings: RecipientSettings, now: datetime) -> list[str]:
    indicator = known.relayed
    if indicator is None:
        return ["its source does not say so any more"]
    doubts = [beyond_terms(indicator, settings, now)]
    if origin != indicator.source:
        doubts.append("the name of its source must go along")
    if item.licence != indicator.licence or (item.reshare and not indicator.reshare):
        doubts.append("its licence must go along as it is")
    if stricter(item.tlp, indicator.tlp) != item.tlp:
        doubts.append("its mark must not become less strict")
    if item.confidence > indicator.confidence or _outlasts(item, indicator):
        doubts.append("it must not become surer, or last longer, than its source says")
    doubts.append(beyond_mark(item.tlp, settings.audience))
    return [doubt for doubt in doubts if doubt]


def _outlasts(item: Item, indicator: Indicator) -> bool:
    if indicator.valid_until is None:
        return False
    return item.valid_until is None or item.valid_until > indicator.valid_until
