"""What a policy declares and does not use, lists that are out of date, and thresholds nobody reaches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from paycordon.policy.document import ListItem
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.subject import Known, PolicySubject
from paycordon.policy.syntax import Node, Select, path_of, walk

_SECTIONS = (
    ("P102", "params", "parameter"),
    ("P103", "aggregates", "aggregate"),
    ("P105", "variables", "variable"),
    ("P106", "lists", "list"),
)


def issues(policy: PolicySubject, known: Known) -> Iterator[Issue]:
    """Find P102, P103, P105 to P107, P114, P118 and P119."""
    yield from _unused(policy)
    yield from _typologies(policy)
    yield from _items(policy, known.now)


def _unused(policy: PolicySubject) -> Iterator[Issue]:
    if any(not rule.complete for rule in policy.rules):
        return
    used = {path for _, each in policy.expressions for path in _names(each.tree, each.loc)}
    used |= {("params", name) for name in policy.policy.fixed}
    for id_, section, kind in _SECTIONS:
        for name in policy.data.get(section) or ():
            if (section, name) not in used:
                yield policy.issue(id_, (section, name), f"the {kind} `{name}` is not used", "leave it out")


def _names(tree: Node, loc: tuple[str | int, ...]) -> Iterator[tuple[str, ...]]:
    """What an expression uses of what the policy declares; a variable does not use itself."""
    for node in walk(tree):
        path = path_of(node) if isinstance(node, Select) else None
        if path is not None and len(path) == 2 and path != loc:
            yield path


def _typologies(policy: PolicySubject) -> Iterator[Issue]:
    adds = [(rule.rule.on, name, points) for rule in policy.rules for name, points in rule.rule.adds.items()]
    types = {type_ for on, _, _ in adds for type_ in on}
    for name, typology in policy.policy.typologies.items():
        if all(added != name for _, added, _ in adds):
            message = f"no rule adds points to the typology `{name}`"
            yield policy.issue("P107", ("typologies", name), message, "add to it with `adds`, or leave it out")
            continue
        most = max(sum(p for on, added, p in adds if added == name and type_ in on and p > 0) for type_ in types)
        for least, outcome in typology.thresholds:
            if least > most:
                message = f"typology `{name}` never reaches {least} points: all rules together add {most} at most"
                loc = ("typologies", name, "thresholds", outcome.value)
                yield policy.issue("P114", loc, message, f"say `{outcome.value}` from {most} points on, or less")


def _items(policy: PolicySubject, now: datetime | None) -> Iterator[Issue]:
    for name, written in (policy.data.get("lists") or {}).items():
        last: dict[str, int] = {}
        for index, item in enumerate(written.get("items") or ()):
            read = ListItem.model_validate(item if isinstance(item, dict) else {"value": item})
            at = ("lists", name, "items", index)
            if read.value in last:
                loc = (*at[:-1], last[read.value])
                line = policy.document.position(at).line
                message = f"list `{name}` has this value again on line {line}, and the last one counts"
                yield policy.issue("P119", loc, message, "leave this one out", key=False)
            last[read.value] = index
            if now is not None and read.until is not None and read.until <= now:
                message = f"this item of list `{name}` has expired"
                yield policy.issue("P118", at, message, "leave it out, or extend it", key=False)
