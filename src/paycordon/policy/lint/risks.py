"""Risks: rules that are right and may still ruin an honest merchant, miss a harmed child or tip off an offender."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from paycordon.decisions import Outcome
from paycordon.policy.bindings import BindingMode
from paycordon.policy.lint.formula import All, Compare, Either, Exists, Formula, OneOf, Opaque, Truth
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.logic import flat
from paycordon.policy.lint.subject import Loc, PolicySubject, RuleSubject
from paycordon.policy.syntax import Has, Select, path_of, paths

INDICATOR = "indicator.match"
SURE = 0.7
"""From this confidence on, an indicator is more than a soft one."""

_SOFT = re.compile(
    r"(?:^|[._])(names?|similar\w*|shared\w*|near\w*|velocity|ratio\w*|burst|changed|destination_changed|new|young|country|mcc"
    r"|missing|unusual|night|age|weak|low|fuzzy|typology|high_integrity_risk)(?:[._]|$)"
)
_PROXIES = frozenset(
    {
        ("event", "merchant", "country"),
        ("event", "merchant", "name"),
        ("event", "account", "country"),
        ("event", "payment", "payer_country"),
        ("event", "payment", "payer_time_zone"),
    }
)
_TELLING = re.compile(
    r"(?:^|_)(suspect\w*|suspici\w*|fraud\w*|abus\w*|coalition\w*|indicators?|\w*list\w*|match\w*|polic[ey]\w*|law|"
    r"enforcement|authorit\w*|child\w*|minors?|csam|csea|ocse|exploit\w*|aml|sar|str|laund\w*|crim\w*|illegal|"
    r"investigat\w*|flagg\w*|sanction\w*|hotline|iwf|ncmec|icmec|scor\w*|risk\w*|terror\w*|traffick\w*|report\w*|"
    r"known|watch\w*|alert\w*|velocity|screen\w*)(?:_|$)"
)


def issues(policy: PolicySubject, tested: frozenset[str]) -> Iterator[Issue]:
    """Find P201 to P207, P210 and P211.

    Args:
        policy: the policy.
        tested: the ids of the rules that its tests expect to match.
    """
    for rule in policy.rules:
        yield from _rule(rule)
        if rule.outcome is Outcome.BLOCK:
            yield from _block(rule, tested)
    yield from _typologies(policy)
    yield from _on_error(policy)


def _rule(rule: RuleSubject) -> Iterator[Issue]:
    stated = rule.rule
    if stated.then is not None and stated.then.stops:
        if not stated.references:
            yield rule.issue("P201", f"{rule.name} stops money without `references`", "say where it comes from")
        if stated.then is Outcome.HOLD and stated.review_after is None:
            message = f"{rule.name} holds without saying when the hold is reviewed"
            yield rule.issue("P204", message, "write `review_after: 72h`, here or for the whole policy")
        yield from _leaks(stated.merchant_reason, rule.issue, rule.name)
    if rule.outcome.stops and rule.complete and _origin_alone(rule.formula):
        message = f"{rule.name} stops money for where somebody comes from alone"
        yield rule.issue("P206", message, "combine it with a finding or with behaviour, or let a person look")


def _leaks(reason: str, issue: Callable[..., Issue], name: str) -> Iterator[Issue]:
    if found := _TELLING.search(reason):
        hint = "name what the merchant can do, such as `additional_information_required`"
        message = f"{name}: `{found[1]}` in `merchant_reason` tells what was found"
        yield issue("P210", message, hint, key="merchant_reason")


def _block(rule: RuleSubject, tested: frozenset[str]) -> Iterator[Issue]:
    if rule.complete and not any(path[0] == "findings" for path in rule.paths):
        hint = "hold instead, so that a person decides"
        yield rule.issue("P202", f"{rule.name} blocks without looking at `findings`", hint)
    elif rule.complete and not _sure(rule.formula, rule.policy):
        message = f"{rule.name} can block on soft indicators alone"
        hint = f"ask for an indicator of confidence {SURE} or more, or hold instead"
        yield rule.issue("P205", message, hint)
    stated = rule.rule
    enforced = rule.policy.mode_of(stated) is BindingMode.ENFORCE
    if stated.then is Outcome.BLOCK and enforced and stated.id not in tested:
        message = f"{rule.name} blocks and no test expects it"
        yield rule.issue("P203", message, "write a case beside the policy, in a `.test.yaml` file, or shadow it first")


def _sure(formula: Formula, policy: PolicySubject) -> bool:
    """Tell whether a condition can only hold with a finding that is not soft."""
    match formula:
        case All(parts):
            return any(_sure(part, policy) for part in parts)
        case Either(parts):
            return all(_sure(part, policy) for part in parts)
        case Exists(range_, body, found):
            return found and path_of(range_) == ("findings",) and _hard([body], policy)
        case _:
            return False


def _hard(parts: Sequence[Formula], policy: PolicySubject) -> bool:
    single = list(flat(parts))
    choice = next((each for each in single if isinstance(each, Either)), None)
    if choice is not None:
        rest = [each for each in single if each is not choice]
        return all(_hard([*rest, option], policy) for option in choice.parts)
    codes = [code for each in single for code in _codes(each)]
    if not codes or any(_SOFT.search(code) for code in codes):
        return False
    return INDICATOR not in codes or any(_confident(each, policy) for each in single)


def _codes(formula: Formula) -> Sequence[str]:
    if not isinstance(formula, Compare | OneOf) or not isinstance(formula.subject, Select):
        return ()
    if formula.subject.field != "code":
        return ()
    if isinstance(formula, OneOf):
        return [str(value) for value in formula.values]
    return [str(formula.bound.worth)] if formula.operator == "==" else ()


def _confident(formula: Formula, policy: PolicySubject) -> bool:
    if not isinstance(formula, Compare) or formula.operator not in (">", ">=", "=="):
        return False
    if not isinstance(formula.subject, Select) or formula.subject.field != "confidence":
        return False
    values = policy.values_of(formula.bound)
    return bool(values) and all(isinstance(value, int | float) and value >= SURE for value in values)


def _origin_alone(formula: Formula) -> bool:
    """Tell whether nothing but where somebody comes from can make a condition true."""
    match formula:
        case All(parts):
            deciding = [part for part in flat(parts) if _decides(part)]
            return bool(deciding) and all(_origin_alone(part) for part in deciding)
        case Either(parts):
            return any(_origin_alone(part) for part in parts)
        case Compare(subject, _, bound):
            read = paths(subject) | paths(bound.written)
        case OneOf(subject, _):
            read = paths(subject)
        case Opaque(node, _):
            read = paths(node)
        case _:
            return False
    own = {path for path in read if path[0] not in ("params", "lists", "countries")}
    return bool(own) and own <= _PROXIES


def _decides(formula: Formula) -> bool:
    """Tell whether a part is more than a guard against missing values or a choice among event types."""
    if isinstance(formula, Compare | OneOf):
        return path_of(formula.subject) not in (("event", "type"), ("event", "mode"))
    return not (isinstance(formula, Truth) or (isinstance(formula, Opaque) and isinstance(formula.node, Has)))


def _typologies(policy: PolicySubject) -> Iterator[Issue]:
    for name, typology in policy.policy.typologies.items():
        outcomes = [outcome for _, outcome in typology.thresholds]
        at = ("typologies", name)

        def issue(id_: str, message: str, hint: str, *, key: str = "", at: Loc = at) -> Issue:
            return policy.issue(id_, (*at, key) if key else at, message, hint)

        if not any(outcome.stops for outcome in outcomes):
            continue
        if not typology.references:
            yield issue("P201", f"typology `{name}` stops money without `references`", "say where it comes from")
        if Outcome.HOLD in outcomes and typology.review_after is None:
            message = f"typology `{name}` holds without saying when the hold is reviewed"
            yield issue("P204", message, "write `review_after: 72h` into it")
        yield from _leaks(typology.merchant_reason, issue, f"typology `{name}`")


def _on_error(policy: PolicySubject) -> Iterator[Issue]:
    loaded = policy.policy
    protects = [rule for rule in loaded.rules if rule.child_protection]
    if loaded.on_error is Outcome.ALLOW and protects:
        message = "what could not be judged passes, although the policy protects children"
        yield policy.issue("P207", ("on_error",), message, "write `review` or `hold`")
    if loaded.on_error is Outcome.BLOCK:
        message = "a check that fails refuses every merchant until it works again"
        yield policy.issue("P211", ("on_error",), message, "write `hold`, which people release")
