"""The readable form: what matches, what does not, and which key is at fault."""

import pytest

from paycordon.decisions import Finding
from paycordon.events import Money
from paycordon.policy.cel import Language, Unclear
from paycordon.policy.schema import bind
from paycordon.policy.syntax import codes_needed, parse
from paycordon.policy.where import WhereInvalid, clauses, compile_where, key_at

LANGUAGE = Language(
    {"small": Money(minor=20_000, currency="EUR"), "method": "instant", "many": 5},
    {"n": "integer", "share": "fraction", "gap": "duration"},
    lists={"known": {"ba_1": None}},
    variables={"large": "event.payout.amount.minor > 100", "method": "event.payout.method"},
)
FINDINGS = [Finding(check="c", code="payout.destination_changed", confidence=0.7, evidence={})]
AGGREGATES = {"aggregates.n": 6, "aggregates.share": 0.25, "aggregates.gap": 3_600_000_000}


def matches(where, event, findings=FINDINGS, aggregates=AGGREGATES):
    source = compile_where(where)
    LANGUAGE.check(source)
    conditions = LANGUAGE.conditions([source])
    (answer,) = conditions.evaluate({**bind(event, findings, conditions.uses), **aggregates})
    return answer


YES = [
    {"finding": "payout.destination_changed"},
    {"finding": {"code": "payout.destination_changed", "confidence": ">= 0.7"}},
    {"finding": {"code": "payout.destination_changed", "confidence": "< 1"}},
    {"finding": ["a.b", {"code": "payout.destination_changed"}]},
    {"identifier": "iban"},
    {"identifier": ["email", "iban"]},
    {"event.account.country": ["NL", "DE"]},
    {"event.account.country": "DE"},
    {"event.account.country": "!= NL"},
    {"event.account.country": "in countries.EU"},
    {"event.payout.destination": "in lists.known"},
    {"event.account.country": "not in lists.known"},
    {"event.payout.method": "== params.method"},
    {"event.payout.amount": ">= 200 EUR"},
    {"event.payout.amount": "== 300.00 EUR"},
    {"event.payout.amount": "> params.small"},
    {"event.payout.amount": [">= 1000 USD", ">= 200 EUR"]},
    {"event.account.at_gateway": True},
    {"account_age": "< 14d"},
    {"account_age": ["< 1h", ">= 72h"]},
    {"aggregates.n": "> 5"},
    {"aggregates.n": 6},
    {"aggregates.n": "> params.many"},
    {"aggregates.share": "< 0.5"},
    {"aggregates.gap": "<= 2h"},
    {"variables.large": True},
    {"variables.method": "instant"},
    {"event.type": "payout.requested", "event.mode": "live"},
]
NO = [
    {"finding": "a.b"},
    {"finding": {"code": "payout.destination_changed", "confidence": "> 0.7"}},
    {"identifier": "email"},
    {"event.account.country": ["NL", "FR"]},
    {"event.account.country": "!= DE"},
    {"event.account.country": "not in countries.EEA"},
    {"event.payout.amount": ">= 200 USD"},
    {"event.payout.amount": "< 300 EUR"},
    {"event.account.at_gateway": False},
    {"account_age": "> 14d"},
    {"aggregates.n": "< 6"},
    {"aggregates.gap": "> 1h"},
    {"variables.large": False},
    {"finding": "payout.destination_changed", "event.payout.method": "standard"},
]
MISSING = [
    {"merchant_age": "< 14d"},
    {"merchant_age": ">= 0d"},
    {"event.merchant.country": "NL"},
    {"event.merchant.country": "!= NL"},
    {"event.merchant.country": "not in lists.known"},
    {"event.dispute.amount": "< 200 EUR"},
    {"event.dispute.amount": "!= 200 EUR"},
    {"event.payout.automatic": False},
    {"event.dispute.reason": ["fraud", "!= fraud"]},
]


@pytest.mark.parametrize("where", YES, ids=str)
def test_what_holds_matches(where, event):
    assert matches(where, event) is True


@pytest.mark.parametrize("where", NO, ids=str)
def test_what_does_not_hold_does_not_match(where, event):
    assert matches(where, event) is False


@pytest.mark.parametrize("where", MISSING, ids=str)
def test_a_value_that_is_missing_does_not_match_whatever_it_is_compared_with(where, event):
    assert matches(where, event) is False


@pytest.mark.parametrize("where", [{"aggregates.n": "> 5"}, {"aggregates.share": "< 0.5"}, {"aggregates.gap": "!= 2h"}])
def test_an_aggregate_without_a_value_does_not_match(where, event):
    assert matches(where, event, aggregates={}) is False


def test_a_variable_without_a_value_is_an_error_as_in_any_expression(event):
    bare = event.model_copy(update={"payout": event.payout.model_copy(update={"method": None})})
    assert isinstance(matches({"variables.method": "instant"}, bare), Unclear)


def test_all_entries_have_to_hold(event):
    whole = {key: value for where in YES[:1] + YES[6:7] + YES[13:14] + YES[18:19] for key, value in where.items()}
    assert len(whole) == 4
    assert matches(whole, event) is True
    for key in whole:
        wrong = {
            **whole,
            key: {"finding": "a.b", "account_age": "> 14d"}.get(key, "== 1 EUR" if "amount" in key else "XX"),
        }
        assert matches(wrong, event) is False


def test_the_findings_that_a_where_needs_are_seen():
    source = compile_where(
        {"event.type": "payout.requested", "finding": ["a.b", {"code": "c.d", "confidence": "> 0.5"}]}
    )
    assert codes_needed(parse(source)) == {"a.b", "c.d"}


def test_texts_are_taken_literally(event):
    nasty = event.model_copy(update={"payout": event.payout.model_copy(update={"method": 'a" || true || "\n\\é😀'})})
    assert matches({"event.payout.method": 'a" || true || "\n\\é😀'}, nasty) is True
    assert matches({"event.payout.method": 'a" || true || "'}, event) is False


def test_a_place_in_the_result_leads_back_to_its_key():
    where = {"finding": "a.b", "event.payout.method": "instant", "account_age": "< 14d"}
    source = compile_where(where)
    assert [key_at(where, source.index(text)) for text in ("a.b", '"instant"', "duration")] == list(where)
    assert key_at(where, len(source) + 10) == "account_age"
    assert list(clauses(where)) == list(where)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"findings": "a.b"}, "did you mean `finding`"),
        ({"finding": 3}, "is a code or"),
        ({"finding": {"confidence": "> 1"}}, "is a code or"),
        ({"finding": {"code": "a.b", "confidence": 0.5}}, "needs a comparison"),
        ({"finding": []}, "the list is empty"),
        ({"event.payout.methd": "x"}, "did you mean `method`"),
        ({"event.payout": "x"}, "write the condition in `when`"),
        ({"event.identifiers": "x"}, "write the condition in `when`"),
        ({"event.occurred_at": "> 3"}, "write the condition in `when`"),
        ({"event.payout.method": 3}, "quote it"),
        ({"event.payout.method": None}, "quote it"),
        ({"event.payout.method": "in [a, b]"}, "lists"),
        ({"event.payout.automatic": "yes"}, "true or false"),
        ({"event.payout.amount": 200}, "needs a comparison"),
        ({"event.payout.amount": ">= 200"}, "with an amount"),
        ({"event.payout.amount": ">= 200.001 EUR"}, "decimals"),
        ({"event.payout.amount": ">= 200.5 JPY"}, "decimals"),
        ({"account_age": "14d"}, "needs a comparison"),
        ({"account_age": "< two weeks"}, "no time span"),
        ({"aggregates.n": "> five"}, "no number"),
        ({"aggregates.n": "in lists.known"}, "needs a comparison"),
        ({"aggregates.n || true": "> 5"}, "unknown"),
        ({"variables.a.b": True}, "unknown"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_key(where, words):
    with pytest.raises(WhereInvalid, match=words) as invalid:
        compile_where(where)
    assert invalid.value.key == next(iter(where))
