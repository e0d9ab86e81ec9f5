"""What lint calls certain is certain: held against the engine on random conditions and many events."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paycordon.decisions import Finding
from paycordon.events import Account, Event, Merchant, Money, Payout
from paycordon.policy.cel import Language
from paycordon.policy.lint.formula import Reader
from paycordon.policy.lint.logic import implies, impossible
from paycordon.policy.schema import bind
from paycordon.policy.syntax import parse

PARAMS = {"low": 2, "high": 4, "certain": 0.8}
LANGUAGE = Language(PARAMS, {})
READER = Reader(PARAMS)
NUMBERS = ["1", "2", "3", "4", "params.low", "params.high"]
SUBJECTS = ["event.payout.amount.minor", "findings.size()"]
TEXTS = ['"a"', '"b"', '"c"']
CODES = ['"x.a"', '"x.b"']


def situations():
    """Every combination of a few values of what the conditions look at."""
    findings = [
        Finding(check="c", code=code, confidence=confidence) for code in ("x.a", "x.b") for confidence in (0.5, 0.9)
    ]
    chosen = [some for size in range(3) for some in itertools.combinations(findings, size)]
    for minor, method, automatic, some in itertools.product(
        range(6), (None, "a", "b", "z"), (None, True, False), chosen
    ):
        payout = Payout(amount=Money(minor=minor, currency="EUR"), method=method, automatic=automatic)
        event = Event(
            id="e",
            type="payout.requested",
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
            gateway="g",
            instance="i",
            account=Account(id="a"),
            merchant=Merchant(),
            payout=payout,
        )
        yield bind(event, some)


SITUATIONS = list(situations())[::3]

operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
numeric = st.builds("{} {} {}".format, st.sampled_from(SUBJECTS), operators, st.sampled_from(NUMBERS))
mirrored = st.builds("{} {} {}".format, st.sampled_from(NUMBERS), operators, st.sampled_from(SUBJECTS))
texts = st.builds("event.payout.method {} {}".format, st.sampled_from(["==", "!="]), st.sampled_from(TEXTS))
chosen = st.builds(
    "event.payout.method in [{}]".format, st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3).map(", ".join)
)
codes = st.one_of(
    st.builds("f.code {} {}".format, st.sampled_from(["==", "!="]), st.sampled_from(CODES)),
    st.builds("f.code in [{}]".format, st.lists(st.sampled_from(CODES), min_size=1, max_size=2).map(", ".join)),
    st.builds("f.confidence {} {}".format, operators, st.sampled_from(["0.5", "0.7", "0.9", "params.certain"])),
)


def joined(inner):
    return st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    )


loops = st.builds(
    "findings.{}(f, {})".format, st.sampled_from(["exists", "all"]), st.recursive(codes, joined, max_leaves=3)
)
flags = st.sampled_from(
    ["has(event.payout.method)", "event.payout.automatic == true", "event.payout.automatic", "true"]
)
conditions = st.recursive(st.one_of(numeric, mirrored, texts, chosen, loops, flags), joined, max_leaves=6)


def answers(*sources):
    compiled = LANGUAGE.conditions(list(sources))
    return [compiled.evaluate(variables) for variables in SITUATIONS]


def read(source, *, positive=True):
    return READER.read(parse(source), positive=positive)


def nothing_known(_):
    return ()


@settings(max_examples=150, deadline=None)
@given(conditions)
def test_what_is_called_impossible_is_never_true_and_what_is_called_certain_never_false(condition):
    never = impossible([read(condition)], nothing_known)
    always = impossible([read(condition, positive=False)], nothing_known)
    if never or always:
        found = {answer for (answer,) in answers(condition) if isinstance(answer, bool)}
        assert not (never and True in found)
        assert not (always and False in found)


@settings(max_examples=250, deadline=None)
@given(conditions, conditions, st.sampled_from(["{0}", "({0} && {1})", "({1} || {0})"]))
def test_what_is_called_implied_is_true_whenever_the_other_is(one, other, shape):
    # Related conditions, because two random ones hardly ever imply each other.
    wider = shape.format(one, other)
    for narrow, wide in ((one, wider), (wider, one), (one, other)):
        if implies(read(narrow), read(wide)):
            assert not any(a is True and b is False for a, b in answers(narrow, wide))


@pytest.mark.parametrize(
    "condition",
    [
        "1 == 2",
        "event.payout.amount.minor > 5 && event.payout.amount.minor < 3",
        "event.payout.amount.minor >= params.high && event.payout.amount.minor < params.low",
        "event.payout.amount.minor < params.low && event.payout.amount.minor >= params.low",
        'event.payout.method == "a" && event.payout.method == "b"',
        'event.payout.method in ["a", "b"] && event.payout.method == "c"',
        'event.payout.method in ["a", "b"] && !(event.payout.method in ["b", "a"])',
        'findings.exists(f, f.code == "x.a" && f.code == "x.b")',
        'findings.exists(f, f.code == "x.a" && f.confidence > 0.9) && !findings.exists(g, g.code == "x.a")',
        'findings.exists(f, f.code == "x.a") && findings.all(g, g.code != "x.a")',
        "has(event.payout.method) && !has(event.payout.method)",
        "event.payout.automatic && !event.payout.automatic",
        "event.payout.automatic == true && event.payout.automatic != true",
        "(event.payout.amount.minor > 5 || event.payout.amount.minor > 4) && event.payout.amount.minor == 4",
        "event.payout.amount.minor > 3 ? event.payout.amount.minor < 2 : event.payout.amount.minor > 4",
        "3 > event.payout.amount.minor && event.payout.amount.minor >= 3",
    ],
)
def test_contradictions_are_found(condition):
    assert impossible([read(condition)], nothing_known)
    assert not any(answer is True for (answer,) in answers(condition))


@pytest.mark.parametrize(
    "condition",
    [
        "event.payout.amount.minor >= 3 && event.payout.amount.minor <= 3",
        'event.payout.method in ["a", "b"] && event.payout.method == "b"',
        'findings.exists(f, f.code == "x.a") && findings.exists(f, f.code == "x.b")',
        'findings.exists(f, f.code == "x.a" && f.confidence > 0.8) && !findings.exists(f, f.confidence > 0.95)',
        "(event.payout.amount.minor > 5 || event.payout.amount.minor > 3) && event.payout.amount.minor == 4",
    ],
)
def test_what_can_be_true_is_no_contradiction(condition):
    assert not impossible([read(condition)], nothing_known)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("event.payout.amount.minor > 5", "event.payout.amount.minor > 3"),
        ("event.payout.amount.minor > 5", "3 < event.payout.amount.minor"),
        ("event.payout.amount.minor == 5", "event.payout.amount.minor > 3"),
        ("event.payout.amount.minor >= params.high", "event.payout.amount.minor > params.low"),
        ('event.payout.method == "a"', 'event.payout.method in ["a", "b"]'),
        ('event.payout.method in ["a"]', 'event.payout.method != "b"'),
        (
            'findings.exists(f, f.code == "x.a" && f.confidence >= 0.9)',
            'findings.exists(each, each.code in ["x.b", "x.a"] && each.confidence > 0.5)',
        ),
        ("has(event.payout.method) && event.payout.amount.minor > 3", "event.payout.amount.minor > 2"),
        (
            "event.payout.amount.minor > 5 || event.payout.amount.minor == 4",
            "event.payout.amount.minor > 3 || findings.size() > 1",
        ),
    ],
)
def test_implications_are_found_and_only_one_way(narrow, wide):
    assert implies(read(narrow), read(wide))
    assert not implies(read(wide), read(narrow))


def test_a_condition_of_too_many_cases_is_given_up_instead_of_tried():
    alternatives = [f"(event.payout.method == '{i}' || event.payout.status == '{i}')" for i in range(2)]
    unrelated = [f"(event.id.startsWith('{i}') || event.id.endsWith('{i}'))" for i in range(30)]
    contradiction = "(event.payout.amount.minor > 5 || event.payout.amount.minor > 6) && event.payout.amount.minor < 3"

    assert not impossible([read(" && ".join([*alternatives, *unrelated]))], nothing_known)
    assert not impossible([read(" && ".join([*unrelated, contradiction]))], nothing_known)
    assert impossible([read(" && ".join([*unrelated[:3], contradiction]))], nothing_known)
