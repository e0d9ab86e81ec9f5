"""Aggregates as they are written: what is understood, and what people are told when it is not."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from paycordon.aggregates import Kind
from paycordon.aggregates.definition import Column, Condition
from paycordon.aggregates.document import AggregateDocument

SCHEMA = AggregateDocument.model_json_schema()


def read(**written: Any) -> AggregateDocument:
    return AggregateDocument.model_validate({"window": "24h", **written})


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ({"count": "payout.requested"}, Kind.INTEGER),
        ({"max": "payout.requested", "by": "destination"}, Kind.INTEGER),
        ({"distinct": "payout.requested", "value": "merchant", "by": "identifier.iban"}, Kind.INTEGER),
        ({"distinct": "payment.succeeded", "value": "payer_country"}, Kind.INTEGER),
        ({"first": "merchant.changed"}, Kind.TIME),
        ({"last": "payment.refunded", "by": "payer"}, Kind.TIME),
        ({"gap_mean": "payment.succeeded"}, Kind.DURATION),
        ({"ratio": ["payment.refunded", "payment.succeeded"]}, Kind.FRACTION),
        ({"share": "payment.succeeded", "where": {"payer_hour": [22, 23, 0, 1]}}, Kind.FRACTION),
        (
            {"count": "payout.requested", "where": {"amount": {"at_least": "200 EUR"}, "method": "instant"}},
            Kind.INTEGER,
        ),
        ({"count": "dispute.opened", "where": {"reason": ["fraudulent"], "mcc": {"at_least": 5000}}}, Kind.INTEGER),
    ],
)
def test_what_is_allowed_is_read_and_in_the_json_schema(written: dict[str, Any], kind: Kind) -> None:
    assert read(**written).aggregate().kind is kind
    jsonschema.validate({"window": "24h", **written}, SCHEMA)


def test_an_amount_implies_its_currency_and_becomes_minor_units() -> None:
    where = (
        read(count="payout.requested", where={"amount": {"at_least": "200.50 EUR", "below": "300 EUR"}})
        .aggregate()
        .where
    )
    assert where == (
        Condition(column=Column.AMOUNT, at_least=200_50, below=300_00),
        Condition(column=Column.CURRENCY, any_of=("EUR",)),
    )
    assert read(count="payout.requested", where={"amount": "500 JPY"}).aggregate().where[0].any_of == (500,)


def test_a_category_is_the_same_with_and_without_quotes() -> None:
    one, other = (read(count="payout.requested", where={"mcc": mcc}).aggregate() for mcc in ("0742", 742))
    assert one == other


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "exactly one function is needed"),
        ({"count": "payout.requested", "sum": "payout.requested"}, "exactly one function is needed"),
        ({"count": "payout.request"}, "did you mean `payout.requested`"),
        ({"count": "payout.requested", "window": "5m"}, "between 10m and 180d"),
        ({"count": "payout.requested", "window": "181d"}, "between 10m and 180d"),
        ({"count": "payout.requested", "by": "marchant"}, "did you mean `merchant`"),
        ({"count": "payout.requested", "by": "identifier.IBAN"}, "small letters"),
        ({"count": "payout.requested", "by": "payer"}, "`payout.requested` has no `payer`"),
        ({"count": "payout.requested", "value": "merchant"}, "`value` says what `distinct` counts"),
        ({"distinct": "payout.requested", "value": "amount"}, "there is no value `amount`"),
        ({"sum": "merchant.changed"}, "`merchant.changed` has no `amount`"),
        ({"share": "payment.succeeded"}, "the share of what?"),
        ({"ratio": ["payment.refunded"]}, "at least 2 items"),
        ({"ratio": ["payment.refunded", "payment.refunded"]}, "two different types"),
        ({"count": "payout.requested", "where": {"payer_hour": 3}}, "`payout.requested` has no `payer_hour`"),
        ({"count": "payment.succeeded", "where": {"payer_hour": 24}}, "whole number from 0 to 23"),
        ({"count": "payment.succeeded", "where": {"payer_hour": True}}, "whole number from 0 to 23"),
        ({"count": "payment.succeeded", "where": {"payer_weekday": 0}}, "whole number from 1 to 7"),
        ({"count": "payment.succeeded", "where": {"payer_country": "nl"}}, "a country code such as `NL`"),
        ({"count": "payment.succeeded", "where": {"country": {"at_least": "NL"}}}, "it has no bounds"),
        ({"count": "payment.succeeded", "where": {"country": []}}, "between 1 and 1000 values"),
        ({"count": "payout.requested", "where": {"amount": 200}}, "an amount is written with its currency"),
        ({"count": "payout.requested", "where": {"amount": "200 XXQ"}}, "not a currency of ISO 4217"),
        ({"count": "payout.requested", "where": {"amount": "1.005 EUR"}}, "EUR has 2 decimals"),
        ({"count": "payout.requested", "where": {"amount": ["1 EUR", "1 SEK"]}}, "different currencies"),
        (
            {"count": "payout.requested", "where": {"amount": {"above": "1 EUR"}}},
            "bounds are `at_least`, `below`, `multiple_of` or several of them",
        ),
        ({"count": "payout.requested", "where": {"amount": {}}}, "bounds are `at_least`, `below`"),
        ({"count": "payout.requested", "where": {"payer": "p"}}, "Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_said(written: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(**written)
    assert message in str(refused.value)
