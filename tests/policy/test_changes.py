"""What differs between two policy sets, and which of that takes a second person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from paycordon.policy import PolicyFiles, PolicySet, load_set
from paycordon.policy.changes import Change, Why, changes

POLICY = """\
policy: p
version: 1
on_error: hold
child_protection: true
params: {days: 14, other: 3}
variables: {young: event.account.created_at > event.occurred_at - duration("24h")}
lists: {risky: {items: [XA, XB]}, kept: {store: watched}}
aggregates: {payouts: {count: payout.requested, window: 24h}}
typologies: {pattern: {thresholds: {review: 50, hold: 100}, merchant_reason: more_needed}}
rules:
  - id: first
    on: [payout.requested]
    when: aggregates.payouts > params.days
    unless: event.account.country == "DE"
    then: hold
    adds: {pattern: 60}
    merchant_reason: more_needed
  - id: plain
    on: [payout.requested]
    child_protection: false
    when: event.account.country == "FR"
    then: hold
    merchant_reason: more_needed
"""
BINDINGS = """\
segments: {big: event.payout.amount.minor > 100000}
bindings:
  - id: everywhere
    policy: p
    mode: enforce
    countries: [DE, FR]
    rollout: 50
    params: {days: 10}
    caps: {holds_per_hour: 20, exempt: [indicator.match]}
"""

Make = Callable[..., PolicySet]


@pytest.fixture
def load(tmp_path: Path) -> Make:
    """Load a policy and its bindings, with parts of their texts replaced."""

    def make(policy: str | None = POLICY, bindings: str | None = None, /, **files: str) -> PolicySet:
        contents = {tmp_path / "p.yaml": policy, tmp_path / "bindings.yaml": bindings}
        contents |= {tmp_path / name: text for name, text in files.items()}
        named = tuple(path for path, text in contents.items() if text is not None and path.name != "bindings.yaml")
        read: Mapping[Path, bytes] = {path: text.encode() for path, text in contents.items() if text is not None}
        bound = tmp_path / "bindings.yaml" if bindings is not None else None
        return load_set(PolicyFiles(named[:1], bound), read=read.__getitem__)

    return make


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def whys(found: tuple[Change, ...]) -> set[Why | None]:
    return {change.why for change in found}


def test_what_is_the_same_has_no_changes(load: Make) -> None:
    assert changes(load(), load()) == ()


def test_the_first_policies_in_force_are_a_promotion(load: Make) -> None:
    found = changes(None, load())
    assert Change("p", "comes into force on more than before everywhere", Why.PROMOTION) in found
    assert Why.LOOSENING not in whys(found)


def test_the_first_policies_in_shadow_take_no_second_person(load: Make) -> None:
    assert whys(changes(None, load(POLICY, replaced(BINDINGS, ("enforce", "shadow"))))) == {None}


LOOSER = {
    "outcome lowered": [("    then: hold\n    adds", "    then: review\n    adds")],
    "condition changed": [("aggregates.payouts > params.days", "aggregates.payouts > params.days + 1")],
    "exception changed": [('unless: event.account.country == "DE"', 'unless: event.account.country != ""')],
    "runs on another event": [("first\n    on: [payout.requested]", "first\n    on: [payout.updated]")],
    "parameter it uses": [("days: 14", "days: 15")],
    "aggregate it uses": [("window: 24h", "window: 12h")],
    "points lowered": [("adds: {pattern: 60}", "adds: {pattern: 50}")],
    "threshold raised": [("hold: 100", "hold: 120")],
    "threshold removed": [("{review: 50, hold: 100}", "{hold: 100}")],
    "negative points elsewhere": [
        ("    child_protection: false\n", "    child_protection: false\n    adds: {pattern: -5}\n")
    ],
    "what an error means": [("on_error: hold", "on_error: review")],
    "mark removed": [("child_protection: true", "child_protection: false")],
    "rule renamed": [("id: first", "id: second")],
}


@pytest.mark.parametrize("edits", LOOSER.values(), ids=LOOSER)
def test_what_may_weaken_a_rule_for_children_takes_a_second_person(load: Make, edits: list[tuple[str, str]]) -> None:
    assert Why.LOOSENING in whys(changes(load(), load(replaced(POLICY, *edits))))


TIGHTER = {
    "outcome raised": [("    then: hold\n    adds", "    then: block\n    adds")],
    "event added": [("first\n    on: [payout.requested]", "first\n    on: [payout.requested, payout.updated]")],
    "exception removed": [('    unless: event.account.country == "DE"\n', "")],
    "points raised": [("adds: {pattern: 60}", "adds: {pattern: 70}")],
    "threshold lowered": [("hold: 100", "hold: 90")],
    "what an error means": [("on_error: hold", "on_error: block")],
    "parameter that it does not use": [("other: 3", "other: 4")],
    "list that it does not use": [("[XA, XB]", "[XA]")],
    "variable that it does not use": [('"24h"', '"48h"')],
    "words": [("first\n    on", "first\n    internal_reason: why\n    on")],
    "another rule loosened": [('country == "FR"', 'country == "BE"')],
    "a comment": [("policy: p", "# a comment\npolicy: p")],
}


@pytest.mark.parametrize("edits", TIGHTER.values(), ids=TIGHTER)
def test_what_can_only_be_stricter_or_is_no_such_rule_takes_none(load: Make, edits: list[tuple[str, str]]) -> None:
    assert whys(changes(load(), load(replaced(POLICY, *edits)))) <= {None}


def test_a_removed_exception_is_not_stricter_where_the_rule_lowers_a_score(load: Make) -> None:
    negative = replaced(POLICY, ("adds: {pattern: 60}", "adds: {pattern: -60}"))
    edited = replaced(negative, ('    unless: event.account.country == "DE"\n', ""))
    assert Why.LOOSENING in whys(changes(load(negative), load(edited)))


@pytest.mark.parametrize(
    ("declared", "edit"),
    [
        ("variables.young", ('"24h"', '"48h"')),
        ("listed(event.account.country, lists.risky)", ("[XA, XB]", "[XA]")),
        ("listed(event.account.country, lists.kept)", ("store: watched", "store: empty")),
        ("listed(event.account.country, lists.kept)", ("store: watched", "items: [XA]")),
        ("variables // here\n      . young", ('"24h"', '"48h"')),
    ],
)
def test_what_a_rule_uses_is_found_in_its_syntax(load: Make, declared: str, edit: tuple[str, str]) -> None:
    using = replaced(POLICY, ("aggregates.payouts > params.days", f"|-\n      {declared}"))
    found = changes(load(using), load(replaced(using, edit)))
    assert [change.where for change in found if change.why is Why.LOOSENING] == ["p/first"]


def test_a_removed_policy_is_loosening(load: Make) -> None:
    other = replaced(POLICY, ("policy: p", "policy: q"))
    found = changes(load(), load(other))
    assert Change("p/first", "the rule is removed", Why.LOOSENING) in found
    assert Change("p/plain", "the rule is removed") in found


LOOSER_BINDINGS = {
    "removed": [("policy: p", "policy: p"), ("mode: enforce", "mode: off")],
    "shadow": [("mode: enforce", "mode: shadow")],
    "the rule in shadow": [("rollout: 50", "rollout: 50\n    rules: {first: shadow}")],
    "rollout": [("rollout: 50", "rollout: 49")],
    "fewer countries": [("[DE, FR]", "[DE]")],
    "one gateway": [("rollout: 50", "rollout: 50\n    gateways: [stripe]")],
    "a segment": [("rollout: 50", "rollout: 50\n    segments: [big]")],
    "a selector": [("rollout: 50", "rollout: 50\n    when: event.account.country == 'DE'")],
    "an end": [("rollout: 50", "rollout: 50\n    until: 2027-01-01")],
    "a later beginning": [("rollout: 50", "rollout: 50\n    since: 2027-01-01")],
    "a parameter": [("days: 10", "days: 11")],
    "a cap lowered": [("holds_per_hour: 20", "holds_per_hour: 19")],
    "a cap added": [("holds_per_hour: 20", "holds_per_hour: 20, share_percent: 5")],
    "an exemption less": [("exempt: [indicator.match]", "exempt: []")],
}


@pytest.mark.parametrize("edits", LOOSER_BINDINGS.values(), ids=LOOSER_BINDINGS)
def test_a_narrower_binding_loosens_the_rules_for_children_under_it(load: Make, edits: list[tuple[str, str]]) -> None:
    found = changes(load(POLICY, BINDINGS), load(POLICY, replaced(BINDINGS, *edits)))
    assert {change.where for change in found if change.why is Why.LOOSENING} == {"p/first"}
    assert Why.PROMOTION not in whys(found)


def test_another_meaning_of_a_segment_may_loosen(load: Make) -> None:
    segmented = replaced(BINDINGS, ("rollout: 50", "rollout: 50\n    segments: [big]"))
    found = changes(load(POLICY, segmented), load(POLICY, replaced(segmented, ("100000", "200000"))))
    assert whys(found) >= {Why.LOOSENING, Why.PROMOTION}


WIDER_BINDINGS = {
    "rollout": [("rollout: 50", "rollout: 60")],
    "more countries": [("[DE, FR]", "[DE, FR, IT]")],
    "all countries": [("    countries: [DE, FR]\n", "")],
}


@pytest.mark.parametrize("edits", WIDER_BINDINGS.values(), ids=WIDER_BINDINGS)
def test_a_wider_binding_is_a_promotion(load: Make, edits: list[tuple[str, str]]) -> None:
    wider = replaced(BINDINGS, *edits)
    found = changes(load(POLICY, BINDINGS), load(POLICY, wider))
    assert ("p", Why.PROMOTION) in {(change.where, change.why) for change in found}


def test_shadow_to_enforce_and_a_lifted_exemption_are_promotions(load: Make) -> None:
    shadow = replaced(BINDINGS, ("mode: enforce", "mode: shadow"))
    assert Why.PROMOTION in whys(changes(load(POLICY, shadow), load(POLICY, BINDINGS)))
    part = replaced(BINDINGS, ("rollout: 50", "rollout: 50\n    rules: {plain: shadow}"))
    lifted = changes(load(POLICY, part), load(POLICY, BINDINGS))
    assert [change.where for change in lifted if change.why is Why.PROMOTION] == ["p/plain"]


def test_a_new_rule_of_a_policy_in_force_is_a_promotion(load: Make) -> None:
    added = POLICY + '  - id: third\n    on: [payout.requested]\n    when: "true"\n    then: review\n'
    found = changes(load(), load(added))
    assert [change.where for change in found if change.why] == ["p/third"]


def test_higher_caps_and_a_second_binding_without_caps_loosen_nothing(load: Make) -> None:
    looser_caps = replaced(BINDINGS, ("holds_per_hour: 20", "holds_per_hour: 30"))
    found = changes(load(POLICY, BINDINGS), load(POLICY, looser_caps))
    assert whys(found) == {None}
    assert (
        "`caps` is holds_per_hour 30, exempt indicator.match instead of holds_per_hour 20, exempt indicator.match"
        in [change.text for change in found]
    )
    second = BINDINGS + "  - {id: second, policy: p, mode: enforce, countries: [DE]}\n"
    assert Why.LOOSENING not in whys(changes(load(POLICY, BINDINGS), load(POLICY, second)))


def test_a_second_binding_with_caps_may_loosen_what_it_lies_over(load: Make) -> None:
    uncapped, capped = (
        "{id: a, policy: p, mode: enforce}",
        "{id: b, policy: p, mode: enforce, caps: {holds_per_hour: 0}}",
    )
    before = load(POLICY, f"bindings:\n  - {uncapped}\n")
    found = changes(before, load(POLICY, f"bindings:\n  - {capped}\n  - {uncapped}\n"))
    assert {change.where for change in found if change.why is Why.LOOSENING} == {"p/first"}


def test_bindings_where_there_were_none_narrow(load: Make) -> None:
    assert Why.LOOSENING in whys(changes(load(), load(POLICY, BINDINGS)))
    whole = "bindings:\n  - {id: all, policy: p, mode: enforce}\n"
    assert whys(changes(load(), load(POLICY, whole))) == {None}
    assert whys(changes(load(POLICY, whole), load())) == {None}


def test_a_rule_in_shadow_may_be_changed_freely_but_keeps_its_mark(load: Make) -> None:
    shadow = replaced(BINDINGS, ("mode: enforce", "mode: shadow"))
    tuned = replaced(POLICY, ("    then: hold\n    adds", "    then: review\n    adds"))
    assert whys(changes(load(POLICY, shadow), load(tuned, shadow))) == {None}
    unmarked = replaced(POLICY, ("child_protection: true", "child_protection: false"))
    assert Why.LOOSENING in whys(changes(load(POLICY, shadow), load(unmarked, shadow)))


def test_two_files_of_one_name_that_change_places_change_the_digest(tmp_path: Path) -> None:
    listing = "lists: {a: {file: a/x.csv}, b: {file: b/x.csv}}"
    text = replaced(POLICY, ("lists: {risky: {items: [XA, XB]}, kept: {store: watched}}", listing))

    def load(first: bytes, second: bytes) -> PolicySet:
        contents = {"p.yaml": text.encode(), "a/x.csv": first, "b/x.csv": second}
        return load_set(
            PolicyFiles((tmp_path / "p.yaml",)), read=lambda path: contents[str(path.relative_to(tmp_path))]
        )

    one, other = load(b"value\nXA\n", b"value\nXB\n"), load(b"value\nXB\n", b"value\nXA\n")
    assert one.digest != other.digest
    assert {change.where for change in changes(one, other)} >= {"a/x.csv", "b/x.csv"}
