"""Where the rules of a policy set are in force, and whether another set has them in force at least as widely.

A comparison only says yes where that can be proved from what is written; whatever cannot be compared counts as less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paycordon.documents import document_from
from paycordon.policy.bindings import BINDINGS, BindingDocument, BindingMode, CapsDocument
from paycordon.policy.model import PolicySet

_UNBOUND = "unbound"
"""Stands for a set without bindings: every policy is enforced on everything."""

_LISTED = ("gateways", "instances", "countries", "mccs")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule is in force: under one binding, or without bindings everywhere.

    Attributes:
        written: the binding.
        segments: what the segments that it names stand for.
        name: how to call it.
    """

    written: BindingDocument
    segments: Mapping[str, Any]
    name: str

    def lies_within(self, other: Place) -> bool:
        """Tell whether everything that this binding enforces a rule on, the other one enforces it on as well."""
        own, wide = self.written, other.written
        same = own.id == wide.id
        return (
            # Who is in a rollout depends on the binding's name, so that only bindings of one name can be compared.
            (wide.rollout >= 100 or (same and wide.rollout >= own.rollout))
            and all(_holds_all(getattr(wide, name), getattr(own, name)) for name in _LISTED)
            and self._is_in_segments_of(other)
            and wide.when in (None, own.when)
            and (wide.since is None or (own.since is not None and wide.since <= own.since))
            and (wide.until is None or (own.until is not None and wide.until >= own.until))
        )

    def _is_in_segments_of(self, other: Place) -> bool:
        # All segments of a binding must hold, so that fewer of them reach more.
        return all(self.segments.get(name, "") == meaning for name, meaning in other.segments.items())


def places(policies: PolicySet) -> Mapping[str, list[Place]]:
    """The places where each policy applies in force, by the policy's name; rules may be exempt, see `enforced`."""
    if policies.bindings is None:
        everywhere = BindingDocument(id=_UNBOUND, policy=_UNBOUND, mode=BindingMode.ENFORCE)
        return {policy.ref.name: [Place(everywhere, {}, "everywhere")] for policy in policies.policies}
    meanings = _segments(policies)
    found: dict[str, list[Place]] = {}
    for binding in policies.bindings:
        if binding.mode is BindingMode.ENFORCE and binding.written.rollout > 0:
            segments = {name: meanings.get(name) for name in binding.written.segments}
            place = Place(binding.written, segments, f"under the binding `{binding.id}`")
            found.setdefault(binding.policy, []).append(place)
    return found


def enforced(all_places: Mapping[str, list[Place]], policy: str, rule: str) -> list[Place]:
    """The places where one rule is in force."""
    return [place for place in all_places.get(policy, []) if rule not in place.written.rules]


def limits_more(new: CapsDocument | None, old: CapsDocument | None) -> bool:
    """Tell whether caps let less be held or blocked than others do."""
    if new is None:
        return False
    old = old or CapsDocument()
    numbers = ("holds_per_hour", "blocks_per_hour", "share_percent")
    lower = any(_is_lower(getattr(new, name), getattr(old, name)) for name in numbers)
    sooner = new.share_percent is not None and new.from_screened < old.from_screened
    return lower or sooner or not set(old.exempt) <= set(new.exempt)


def _is_lower(new: float | None, old: float | None) -> bool:
    return new is not None and (old is None or new < old)


def _holds_all(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _segments(policies: PolicySet) -> Mapping[str, Any]:
    """Return the expressions of all segments, from the file that was read."""
    for source in policies.sources:
        if source.ref.name == BINDINGS:
            data = document_from(source.content, source.path).data
            segments = data.get("segments") if isinstance(data, dict) else None
            return segments if isinstance(segments, dict) else {}
    return {}
