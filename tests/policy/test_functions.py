"""Functions, lists, variables and aggregates in expressions; and that what is evaluated is what was checked."""

from datetime import UTC, datetime, timedelta

import pytest
from cel_expr_python import cel
from hypothesis import given, settings
from hypothesis import strategies as st

from paycordon.decisions import Finding
from paycordon.events import Account, Dispute, Event, Identifier, Merchant, Money, Payout
from paycordon.policy.cel import ExpressionInvalid, Language, Unclear
from paycordon.policy.functions import COUNTRIES
from paycordon.policy.rates import rates_from
from paycordon.policy.schema import SCHEMA, bind, type_name

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATES = rates_from(b"date,base,quote,rate\n2026-02-27,EUR,USD,1.1\n2026-02-27,EUR,JPY,160\n", "rates.csv")
LISTS = {
    "mules": {
        "ba_1": None,
        "ba_2": NOW,
        "ba_3": NOW + timedelta(microseconds=1),
        "d1": None,
    },
    "empty": {},
}
FINDING = Finding(check="c", code="a.b", confidence=0.9, evidence={"n": 3})


def answer(event, source, variables=None, findings=(FINDING,), aggregates=None, **options):
    language = Language(
        {"small": Money(minor=20_000, currency="USD")},
        {"n": "integer", "share": "fraction", "last": "time", "gap": "duration"},
        lists=LISTS,
        **{"rates": RATES, "variables": variables or {}, **options},
    )
    assert not language.variable_faults
    language.check(source)
    conditions = language.conditions([source])
    return conditions.evaluate({**bind(event, findings, conditions.uses), **(aggregates or {})})[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("event.payout.amount.in_currency('EUR', event.occurred_at).minor == 30000", True),
        ("event.payout.amount.in_currency('USD', event.occurred_at) == money(33000, 'USD')", True),
        ("event.payout.amount.in_currency('JPY', event.occurred_at).minor == 48000", True),
        ("event.payout.amount.at_least(params.small, event.occurred_at)", True),
        ("event.payout.amount.below(params.small, event.occurred_at)", False),
        ("event.payout.amount.at_least(money(33000, 'USD'), event.occurred_at)", True),
        ("event.payout.amount.at_least(money(33001, 'USD'), event.occurred_at)", False),
        ("event.payout.amount.at_least(money(30000, 'EUR'), timestamp('2031-01-01T00:00:00Z'))", True),
        ("listed(event.payout.destination, lists.mules)", True),
        ("listed('ba_2', lists.mules)", False),
        ("listed('ba_3', lists.mules)", True),
        ("listed('ba_1', lists.empty)", False),
        (
            "listed(event.account.country, countries.EU) && !listed('NO', countries.EU) && listed('NO', countries.EEA)",
            True,
        ),
        ("event.identifiers.exists(i, i.kind == 'iban' && listed(i.digest, lists.mules))", True),
        ("event.occurred_at.getHours('Europe/Amsterdam') == 13", True),
        (
            "event.occurred_at.getHours('Asia/Kolkata') == 17 && event.occurred_at.getMinutes('Asia/Kolkata') == 30",
            True,
        ),
        ("event.occurred_at.getDayOfWeek('Pacific/Auckland') == 1", True),
    ],
)
def test_functions(event, source, expected):
    assert answer(event, source) is expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("event.payout.amount.at_least(money(1, 'GBP'), event.occurred_at)", "no exchange rate for GBP on 2026-03-01"),
        ("event.payout.amount.at_least(params.small, timestamp('2026-03-07T00:00:00Z'))", "no exchange rate for USD"),
        ("event.payout.amount.in_currency('JPY', timestamp('2026-02-26T23:59:59Z')).minor > 1", "no exchange rate"),
        ("money(1, 'eur').minor == 1", "ISO 4217"),
        ("event.dispute.amount.at_least(params.small, event.occurred_at)", ""),
        ("listed(event.merchant.country, countries.EU)", "missing"),
        ("event.occurred_at.getHours('Europe/Atlantis') == 1", "timezone"),
    ],
)
def test_what_a_function_cannot_know_is_an_error(event, source, words):
    found = answer(event, source)
    assert isinstance(found, Unclear)
    assert words in found.detail


def test_without_rates_only_amounts_of_one_currency_are_compared(event):
    assert answer(event, "event.payout.amount.at_least(money(1, 'EUR'), event.occurred_at)", rates=None) is True
    found = answer(event, "event.payout.amount.at_least(params.small, event.occurred_at)", rates=None)
    assert "no exchange rates" in found.detail


def test_the_sets_of_countries_have_their_members():
    assert len(COUNTRIES["EU"]) == 27
    assert COUNTRIES["EEA"] - COUNTRIES["EU"] == {"IS", "LI", "NO"}
    assert not {"GB", "CH", "EL", "UK"} & COUNTRIES["EEA"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("listed('a', lists.nope)", "no `lists.nope`"),
        ("listed('a', countries.EFTA)", "no `countries.EFTA`"),
        ("listed(3, lists.mules)", "overload"),
        ("lists.mules", "yields"),
        ("variables.nope", "no `variables.nope`"),
        ("aggregates.nope > 3", "no `aggregates.nope`"),
        ("aggregates.n > 0.5", "overload"),
        ("findings.exists(event, true)", "names its variable `event`"),
        ("findings.all(a, findings.all(b, findings.all(c, true)))", "more than 2 deep"),
        ("findings.map(f, [f]).size() > 0", "may not build"),
        ("findings.all(f, f.code + f.code + f.code + f.code == '')", "more than 2 times within loops"),
        (" + ".join(["1"] * 20) + " > 0 && " + " + ".join(["1"] * 20) + " > 0", "more than 32 times"),
    ],
)
def test_what_a_policy_does_not_have_or_may_not_do_is_refused(source, words):
    language = Language({}, {"n": "integer"}, lists=LISTS)
    with pytest.raises(ExpressionInvalid, match=words):
        language.check(source)


VALUES = {
    "aggregates.n": 4,
    "aggregates.share": 0.25,
    "aggregates.last": 1_772_366_400_000_001,
    "aggregates.gap": 7_200_000_000,
}


@pytest.mark.parametrize(
    ("source", "with_values", "without"),
    [
        ("aggregates.n > 3", True, Unclear),
        ("has(aggregates.n) && aggregates.n > 3", True, False),
        ("aggregates.n == 4", True, False),
        ("aggregates.share < 0.3", True, Unclear),
        ("event.occurred_at - aggregates.last < duration('1h')", True, Unclear),
        ("aggregates.last < event.occurred_at", False, Unclear),
        ("aggregates.last > event.occurred_at", True, Unclear),
        ("aggregates.gap == duration('2h')", True, Unclear),
        ("has(aggregates.gap) && has(aggregates.last)", True, False),
    ],
)
def test_an_aggregate_has_its_kind_and_one_without_a_value_is_missing(event, source, with_values, without):
    assert answer(event, source, aggregates=VALUES) is with_values
    found = answer(event, source, aggregates=dict.fromkeys(VALUES))
    assert isinstance(found, Unclear) if without is Unclear else found is without


def test_policies_have_their_own_aggregates_under_one_name(event):
    one, other = Language({}, {"n": "integer"}), Language({}, {"n": "fraction", "m": "integer"})
    bound = {**bind(event, ()), "aggregates.n": 2, "aggregates.m": 3}
    assert one.conditions(["aggregates.n == 2"]).evaluate(bound) == [True]
    assert other.conditions(["aggregates.n == 2.0 && aggregates.m == 3"]).evaluate(bound) == [True]


def test_variables_use_earlier_ones_and_one_without_a_value_touches_only_those_that_use_it(event):
    language = Language(
        {},
        {"n": "integer"},
        variables={
            "amount": "event.payout.amount.in_currency('USD', event.occurred_at)",
            "large": "variables.amount.minor > 100",
            "new": "event.occurred_at - event.merchant.created_at < duration('24h')",
            "codes": "findings.map(f, f.code)",
            "loud": "variables.large && aggregates.n > 3",
        },
        rates=RATES,
    )
    assert not language.variable_faults
    sources = ["variables.large", "variables.new", "'a.b' in variables.codes", "variables.loud", "true"]
    conditions = language.conditions(sources)
    found = conditions.evaluate({**bind(event, [FINDING], conditions.uses), "aggregates.n": 9})
    assert [each if isinstance(each, bool) else None for each in found] == [True, None, True, True, True]
    assert "variables.new" in found[1].detail
    found = conditions.evaluate(bind(event, [FINDING], conditions.uses))
    assert [each if isinstance(each, bool) else None for each in found] == [True, None, True, None, True]


def test_what_is_wrong_with_a_variable_is_reported_once_and_where_it_is():
    wrong = {
        "later": "variables.earlier",
        "earlier": "true",
        "itself": "variables.itself",
        "typo": "true &&\n event.nope",
        "message": "event.payout",
        "uses_typo": "variables.typo == true",
    }
    language = Language({}, (), variables=wrong)
    assert set(language.variable_faults) == {"later", "itself", "typo", "message"}
    assert (language.variable_faults["typo"][0].line, language.variable_faults["typo"][0].column) == (2, 7)
    language.check("variables.typo == true || variables.uses_typo")


def test_a_variables_value_is_bounded(event):
    long = event.model_copy(update={"merchant": Merchant(name="x" * 2_000)})
    double = {"a": "event.merchant.name + event.merchant.name", "b": "variables.a + variables.a"}
    double |= {"c": "variables.b + variables.b"}
    assert answer(long, "variables.a.size() == 4000", double) is True
    assert isinstance(answer(long, "variables.b.size() == 8000", double), Unclear)
    assert isinstance(answer(long, "variables.c.size() > 0", double), Unclear)


def test_a_list_may_hold_many_items_at_no_cost_per_event(event):
    many = {f"ba_{number}": None for number in range(100_000)}
    language = Language({}, (), lists={"many": many})
    conditions = language.conditions(["listed(event.payout.destination, lists.many)"])
    assert conditions.evaluate(bind(event, (), conditions.uses)) == [True]


TYPED = cel.NewEnv(
    SCHEMA.pool,
    variables={"event": cel.Type(type_name(Event)), "findings": cel.Type.List(cel.Type(type_name(Finding)))},
)
ATOMS = st.sampled_from(
    [
        *(
            "event.payout.method == 'instant'",
            "has(event.payout.method)",
            "has(event.payout)",
            "has( event . merchant ) ",
        ),
        *(
            "event.payout.method == null",
            "event.payout.method != null",
            "event.merchant.country > 'A'",
            "has(event.id)",
        ),
        *(
            "event.payout.automatic",
            "event.payout.amount.minor > 5",
            "event.dispute.amount.minor > 5",
            "true",
            "1 / 0 > 1",
        ),
        *(
            "has(event.dispute.amount.currency)",
            "event.dispute.amount == null",
            "event.payout.amount.currency in ['EUR']",
        ),
        *(
            "event.merchant.country.startsWith('N')",
            "event.merchant.`country` == 'NL'",
            ".event.merchant.country == 'NL'",
        ),
        *(
            "event.occurred_at > timestamp('2026-01-01T00:00:00Z')",
            "has(event.occurred_at)",
            "has(event.account.created_at)",
        ),
        *("event.account.created_at < event.occurred_at", "event.type.size() > 3", "event.mode == 'live'"),
        *(
            "event.identifiers.exists(i, i.kind == 'iban' && event.payout.method == 'instant')",
            "event.identifiers.size() > 0",
        ),
        *(
            "findings.exists(f, f.code == 'a.b')",
            "findings.exists(f, f.evidence.n > 2)",
            "findings[0].confidence > 0.5",
        ),
        *(
            "findings.exists(f, has(f.evidence.x) || f.check == event.gateway)",
            "event.account.at_gateway",
            "event == event",
        ),
        *("event.payout.amount == paycordon.Money{minor: 5, currency: 'EUR'}", "[event.merchant.country] == ['NL']"),
        *("event.merchant.mcc.matches('^5')", "event.payout.id.size() > event.merchant.name.size()"),
    ]
)
SOURCES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda three: "({} {} {})".format(*three)),
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner, inner).map(lambda three: "({} ? {} : {})".format(*three)),
    ),
    max_leaves=5,
)
EVENTS = st.builds(
    Event,
    id=st.just("e"),
    type=st.just("merchant.changed"),
    occurred_at=st.sampled_from([NOW, datetime(2025, 1, 1, tzinfo=UTC)]),
    gateway=st.sampled_from(["c", "stripe"]),
    instance=st.just("i"),
    account=st.builds(Account, id=st.just("a"), created_at=st.sampled_from([None, NOW - timedelta(days=3)])),
    merchant=st.builds(
        Merchant,
        country=st.sampled_from([None, "NL"]),
        mcc=st.sampled_from([None, "5812"]),
        name=st.sampled_from([None, "é"]),
    ),
    payout=st.one_of(
        st.none(),
        st.builds(
            Payout,
            amount=st.builds(Money, minor=st.integers(0, 9), currency=st.just("EUR")),
            method=st.sampled_from([None, "instant", ""]),
            automatic=st.sampled_from([None, True, False]),
            id=st.sampled_from([None, "po_1"]),
        ),
    ),
    dispute=st.one_of(st.none(), st.just(Dispute(id="d", amount=Money(minor=7, currency="EUR"), reason="fraud"))),
    identifiers=st.sampled_from([(), (Identifier(kind="iban", digest="d"),)]),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(SOURCES, min_size=1, max_size=12), EVENTS, st.sampled_from([(), (FINDING,)]))
def test_many_rules_on_what_they_use_answer_as_each_alone_on_the_whole_event(sources, event, findings):
    conditions = Language({}, ()).conditions(sources)
    found = conditions.evaluate(bind(event, findings, conditions.uses))
    bound = {"event": SCHEMA.message(event), "findings": [SCHEMA.message(finding) for finding in findings]}
    for source, answered in zip(sources, found, strict=True):
        value = TYPED.compile(source).eval(TYPED.Activation(bound))
        expected = value.value() if value.type() == cel.Type.BOOL else None
        assert (answered if isinstance(answered, bool) else None) is expected, source
    assert [each if isinstance(each, bool) else None for each in conditions.evaluate(bind(event, findings))] == [
        each if isinstance(each, bool) else None for each in found
    ]
