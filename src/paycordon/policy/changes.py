"""What differs between two policy sets, and which of that a second person has to agree to.

That is what comes into force on more than before (`PROMOTION`), and what may weaken a rule for the protection of
children that is in force (`LOOSENING`). Whatever cannot be proved to be only tighter counts as weaker. A rule that is
nowhere in force protects nobody yet, so it may be changed freely until it is promoted; only its mark as a rule for the
protection of children may not be taken away unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from paycordon.decisions import Outcome, Scope
from paycordon.policy.coverage import Place, enforced, limits_more, places
from paycordon.policy.model import Policy, PolicySet, Rule, Typology
from paycordon.policy.syntax import SyntaxInvalid, parse, paths

_SETTINGS = ("mode", "gateways", "instances", "countries", "mccs", "segments", "when", "rollout", "since", "until")


class Why(StrEnum):
    """Why a change takes a second person."""

    PROMOTION = "promotion"
    LOOSENING = "loosening"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        where: the policy, `policy/rule`, or binding.
        text: what is different, as one clause.
        why: why it takes a second person; none if it does not.
    """

    where: str
    text: str
    why: Why | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def changes(old: PolicySet | None, new: PolicySet) -> tuple[Change, ...]:
    """Say what differs between two sets; none as the old one stands for nothing at all."""
    before = old or PolicySet()
    found: list[Change] = []
    for name in sorted({policy.ref.name for policy in (*before.policies, *new.policies)}):
        found += _Comparison(before, new, name).changes()
    found += _of_bindings(before, new)
    known = {(source.ref.name, source.ref.digest) for source in before.sources}
    for source in new.sources:
        if source.ref.name.startswith("file:") and (source.ref.name, source.ref.digest) not in known:
            found.append(Change(source.ref.name.removeprefix("file:"), "the file is new or has changed"))
    return tuple(dict.fromkeys(found))


class _Comparison:
    """Compares one policy of two sets."""

    def __init__(self, before: PolicySet, after: PolicySet, name: str) -> None:
        self.name = name
        self.old, self.new = before.policy(name), after.policy(name)
        self._before, self._after = places(before), places(after)
        self._old_rules = {rule.id: rule for rule in self.old.rules} if self.old else {}
        self._new_rules = {rule.id: rule for rule in self.new.rules} if self.new else {}
        self._guarded_typologies = {
            typology
            for rule in self._old_rules.values()
            if rule.child_protection and self._was_in_force(rule.id)
            for typology in rule.adds
        }

    def changes(self) -> Iterator[Change]:
        if self.old is None:
            yield Change(self.name, "the policy is new")
        if self.new is None:
            yield Change(self.name, "the policy is removed")
        if self.old is not None and self.new is not None:
            yield from self._of_policy(self.old, self.new)
        for rule in self._old_rules.values():
            yield from self._of_rule(rule, self._new_rules.get(rule.id))
        for rule in self._new_rules.values():
            if rule.id not in self._old_rules:
                yield Change(f"{self.name}/{rule.id}", "the rule is new")
        yield from self._promotions()

    def _was_in_force(self, rule: str) -> bool:
        return bool(enforced(self._before, self.name, rule))

    def _is_guarded(self, rule: Rule) -> bool:
        """Tell whether the rule, or one that adds to the same typology, protects children and was in force."""
        protects = rule.child_protection or not self._guarded_typologies.isdisjoint(rule.adds)
        return protects and self._was_in_force(rule.id)

    def _of_policy(self, old: Policy, new: Policy) -> Iterator[Change]:
        if old.on_error is not new.on_error:
            lowered = new.on_error.rank < old.on_error.rank and any(map(self._is_guarded, old.rules))
            text = f"`on_error` is {new.on_error} instead of {old.on_error}"
            yield Change(self.name, text, Why.LOOSENING if lowered else None)
        for name in sorted({*old.typologies, *new.typologies}):
            yield from self._of_typology(name, old.typologies.get(name), new.typologies.get(name))
        parts = _parts(old), _parts(new)
        for key in sorted({*parts[0], *parts[1]}):
            if parts[0].get(key) != parts[1].get(key):
                yield Change(self.name, _changed(key, *(part.get(key) for part in parts)))

    def _of_typology(self, name: str, old: Typology | None, new: Typology | None) -> Iterator[Change]:
        guarded = name in self._guarded_typologies
        if old is None or new is None:
            text = f"the typology `{name}` is {'new' if old is None else 'removed'}"
            yield Change(self.name, text, Why.LOOSENING if guarded else None)
        elif old.thresholds != new.thresholds:
            steps = {points for points, _ in (*old.thresholds, *new.thresholds)}
            raised = any(new.outcome(points).rank < old.outcome(points).rank for points in steps)
            text = f"the thresholds of the typology `{name}` are {_thresholds(new)} instead of {_thresholds(old)}"
            yield Change(self.name, text, Why.LOOSENING if guarded and raised else None)
        for rule in self._new_rules.values():
            before = self._old_rules.get(rule.id)
            was, now = before.adds.get(name, 0) if before else 0, rule.adds.get(name, 0)
            if was != now:
                text = f"adds {now} instead of {was} points to `{name}`"
                yield Change(f"{self.name}/{rule.id}", text, Why.LOOSENING if guarded and now < was else None)

    def _of_rule(self, old: Rule, new: Rule | None) -> Iterator[Change]:
        where, guarded = f"{self.name}/{old.id}", self._is_guarded(old)
        if new is None:
            yield Change(where, "the rule is removed", Why.LOOSENING if guarded else None)
            return
        for text, tighter in _differences(old, new):
            yield Change(where, text, Why.LOOSENING if guarded and not tighter else None)
        for mark in ("status", "weight"):
            if getattr(old, mark) != getattr(new, mark):
                yield Change(where, f"`{mark}` is {getattr(new, mark)} instead of {getattr(old, mark)}")
        if old.child_protection and not new.child_protection:
            yield Change(where, "is no longer marked as `child_protection`", Why.LOOSENING)
        used = self._used(old)
        if guarded and self.new is not None and self.old is not None:
            own, other = _parts(self.old), _parts(self.new)
            for key in sorted(key for key in used if own.get(key) != other.get(key)):
                yield Change(where, f"uses what has changed: `{'.'.join(key)}`", Why.LOOSENING)
        if guarded:
            yield from self._weakened(old, {name for root, name in used if root == "params"})

    def _used(self, rule: Rule) -> frozenset[tuple[str, str]]:
        return used_by(self.old, rule) if self.old else frozenset()

    def _weakened(self, rule: Rule, params: set[str]) -> Iterator[Change]:
        """Find the places where a rule was in force and is not any more, or not as hard."""
        where, before = f"{self.name}/{rule.id}", enforced(self._before, self.name, rule.id)
        now = enforced(self._after, self.name, rule.id)
        for was in before:
            around = [place for place in now if was.lies_within(place)]
            if not around:
                yield Change(where, f"is no longer in force on all that it was {was.name}", Why.LOOSENING)
            elif not any(_own(place, params) == _own(was, params) for place in around):
                yield Change(where, f"has other parameters {was.name}", Why.LOOSENING)
        for place in now:
            # A match under two bindings may be counted by the caps of either, so a new cap counts wherever it stands.
            same = (was for was in before if was.written.id == place.written.id and place.lies_within(was))
            if place.written.caps is not None and all(limits_more(place.written.caps, w.written.caps) for w in same):
                yield Change(where, f"may be capped sooner {place.name}", Why.LOOSENING)

    def _promotions(self) -> Iterator[Change]:
        """Find the places where rules come into force; all rules of a policy at once are one change."""
        found: dict[str, list[str]] = {}
        for rule in self._new_rules:
            before = enforced(self._before, self.name, rule) if rule in self._old_rules else []
            for place in enforced(self._after, self.name, rule):
                if not any(place.lies_within(each) for each in before):
                    found.setdefault(place.name, []).append(rule)
        for name, rules in found.items():
            text = f"comes into force on more than before {name}"
            if len(rules) == len(self._new_rules):
                yield Change(self.name, text, Why.PROMOTION)
            else:
                yield from (Change(f"{self.name}/{rule}", text, Why.PROMOTION) for rule in rules)


def used_by(policy: Policy, rule: Rule) -> frozenset[tuple[str, str]]:
    """Return what the expressions of a rule use of their policy: `("params", "limit")`, `("lists", "risky")` …"""
    waiting = [source for source in (rule.when, rule.where, rule.unless) if source is not None]
    found: set[tuple[str, str]] = set()
    while waiting:
        try:
            names = paths(parse(waiting.pop()))
        except SyntaxInvalid:  # what cannot be read may use anything
            return frozenset(_parts(policy))
        new = {(path[0], path[1]) for path in names if len(path) > 1} - found
        found |= new
        waiting += [policy.variables[name] for root, name in new if root == "variables" and name in policy.variables]
    return frozenset(key for key in found if key in _parts(policy))


def _parts(policy: Policy) -> Mapping[tuple[str, str], Any]:
    """What rules of a policy share, by the names that expressions call them; a list in the store is what it is called.

    What people put into such a list is no change of the policy.
    """
    lists = {name: policy.stores.get(name, items) for name, items in policy.lists.items()}
    return {
        **{("params", name): value for name, value in policy.params.items()},
        **{("variables", name): source for name, source in policy.variables.items()},
        **{("aggregates", name): each for name, each in policy.aggregates.items()},
        **{("lists", name): each for name, each in lists.items()},
    }


def _changed(key: tuple[str, str], old: Any, new: Any) -> str:
    name = f"`{'.'.join(key)}`"
    if old is None or new is None:
        return f"{name} is {'new' if old is None else 'removed'}"
    return f"{name} is {new} instead of {old}" if key[0] == "params" else f"{name} has changed"


def _differences(old: Rule, new: Rule) -> Iterator[tuple[str, bool]]:
    """Say how one rule differs, and of each difference whether it can only make the rule stricter or is mere words."""
    # With negative points a rule that matches more often makes its typology milder.
    adds_only = all(points >= 0 for points in (*old.adds.values(), *new.adds.values()))
    was, now = old.then or Outcome.ALLOW, new.then or Outcome.ALLOW
    if was is not now:
        tighter = now.rank > was.rank
        yield f"the outcome is {'raised' if tighter else 'lowered'} from {was} to {now}", tighter
    before, after = _scope(old), _scope(new)
    if before is not after and was.stops and now.stops and (old.scope or new.scope):
        yield f"a hold of it stops `{after}` instead of `{before}`", _WIDTH[after] >= _WIDTH[before]
    for type_ in sorted(new.on - old.on):
        yield f"also runs on `{type_}`", adds_only
    for type_ in sorted(old.on - new.on):
        yield f"no longer runs on `{type_}`", False
    for key in ("when", "where"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            yield f"the condition `{key}` {_done(before, after)}", adds_only and after is None
    if old.unless != new.unless:
        yield f"the exception `unless` {_done(old.unless, new.unless)}", adds_only and new.unless is None
    yield from ((text, True) for text in _wording(old, new))


_WIDTH = {Scope.PAYOUT: 0, Scope.OUTFLOW: 1, Scope.PAYOUTS: 2, Scope.CHARGES: 3, Scope.ONBOARDING: 3}


def _scope(rule: Rule) -> Scope:
    return rule.scope or Scope.usual(rule.then or Outcome.ALLOW)


def _wording(old: Rule, new: Rule) -> Iterator[str]:
    if old.review_after != new.review_after:
        yield f"waits {new.review_after} instead of {old.review_after} for a person"
    for key in ("merchant_reason", "internal_reason", "references"):
        if getattr(old, key) != getattr(new, key):
            yield f"`{key}` has changed"
    if new.child_protection and not old.child_protection:
        yield "is now marked as `child_protection`"


def _done(old: object, new: object) -> str:
    return "is new" if old is None else "is removed" if new is None else "has changed"


def _thresholds(typology: Typology) -> str:
    return ", ".join(f"{outcome} from {points}" for points, outcome in typology.thresholds)


def _own(place: Place, params: set[str]) -> Mapping[str, Any]:
    return {name: value for name, value in place.written.params.items() if name in params}


def _of_bindings(before: PolicySet, after: PolicySet) -> Iterator[Change]:
    """Say how bindings differ; what that means for rules is said of the rules."""
    old = {each.id: each.written for each in before.bindings or ()}
    new = {each.id: each.written for each in after.bindings or ()}
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        where = f"binding {name}"
        if was is None or now is None:
            yield Change(where, "the binding is new" if was is None else "the binding is removed")
            continue
        for key in (*_SETTINGS, "policy", "rules", "params", "caps"):
            one, other = getattr(was, key), getattr(now, key)
            if one != other:
                yield Change(where, f"`{key}` is {_shown(other)} instead of {_shown(one)}")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "all"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items()) or "none"
    if isinstance(value, BaseModel):
        return _shown(value.model_dump(exclude_defaults=True))
    return "none" if value is None else str(value)
