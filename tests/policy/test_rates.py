"""Exchange rates: by the event's day, never a later one, never a guess; exact, rounded once."""

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycordon.errors import PolicyError
from paycordon.policy.rates import RateMissing, rates_from

CSV = b"""date,base,quote,rate
2026-03-06,EUR,USD,1.1
2026-02-27,EUR,USD,1.2
2026-03-06,EUR,JPY,160
2026-03-06,EUR,BHD,0.4
"""
YAML = b"""base: EUR
rates:
  2026-03-06: {USD: "1.1", JPY: "160", BHD: "0.4"}
  2026-02-27: {USD: "1.2"}
"""
DAY = date(2026, 3, 6)
TABLE = rates_from(CSV, "rates.csv")


def test_both_forms_say_the_same_and_the_digest_tells_the_files_apart():
    other = rates_from(YAML, "rates.yaml")
    assert (other.base, other.days, other.rates) == (TABLE.base, TABLE.days, TABLE.rates)
    assert other.digest != TABLE.digest
    assert TABLE.digest == rates_from(CSV, "elsewhere.csv").digest
    assert rates_from(CSV.replace(b"\n", b"\r\n"), "rates.csv").rates == TABLE.rates


@pytest.mark.parametrize(
    ("minor", "source", "target", "expected"),
    [
        (1_000, "EUR", "USD", 1_100),
        (1_100, "USD", "EUR", 1_000),
        (1_000, "EUR", "JPY", 1_600),
        (1_600, "JPY", "EUR", 1_000),
        (1_000, "EUR", "BHD", 4_000),
        (160, "JPY", "BHD", 400),
        (5, "EUR", "EUR", 5),
        (5, "XXX", "XXX", 5),
        (1, "JPY", "EUR", 1),
        (-1_000, "EUR", "USD", -1_100),
        (5, "EUR", "USD", 6),
        (15, "EUR", "USD", 16),
        (25, "EUR", "USD", 28),
        (-5, "EUR", "USD", -6),
    ],
)
def test_amounts_are_converted_with_the_exponents_of_their_currencies_and_rounded_half_to_even(
    minor, source, target, expected
):
    assert TABLE.convert(minor, source, target, DAY) == expected


@given(
    st.integers(-(10**15), 10**15),
    st.sampled_from(["EUR", "USD", "JPY", "BHD"]),
    st.sampled_from(["EUR", "USD", "JPY"]),
)
def test_conversion_agrees_with_decimal_arithmetic(minor, source, target):
    per_base = {"EUR": Decimal(1), "USD": Decimal("1.1"), "JPY": Decimal(160), "BHD": Decimal("0.4")}
    exponent = {"EUR": 2, "USD": 2, "JPY": 0, "BHD": 3}
    with localcontext(prec=80):
        exact = Decimal(minor).scaleb(exponent[target] - exponent[source]) * per_base[target] / per_base[source]
        expected = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    assert TABLE.convert(minor, source, target, DAY) == expected
    assert abs(TABLE.exact(minor, source, target, DAY) - expected) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (date(2026, 2, 27), Fraction("1.2")),
        (date(2026, 3, 5), Fraction("1.2")),
        (date(2026, 3, 6), Fraction("1.1")),
        (date(2026, 3, 13), Fraction("1.1")),
        (date(2026, 3, 14), None),
        (date(2026, 2, 26), None),
    ],
)
def test_the_latest_rate_that_is_not_too_old_counts_and_never_a_later_one(on, expected):
    if expected is None:
        with pytest.raises(RateMissing, match="no exchange rate for USD"):
            TABLE.factor("EUR", "USD", on)
    else:
        assert TABLE.factor("EUR", "USD", on) == expected


def test_the_maximum_age_is_stated():
    strict = rates_from(CSV, "rates.csv", max_age=timedelta(days=1))
    assert strict.factor("EUR", "USD", date(2026, 3, 7)) == Fraction("1.1")
    with pytest.raises(RateMissing):
        strict.factor("EUR", "USD", date(2026, 3, 8))


def test_an_unknown_currency_and_an_amount_beyond_64_bits_are_no_guess():
    with pytest.raises(RateMissing, match="GBP"):
        TABLE.convert(1, "GBP", "EUR", DAY)
    with pytest.raises(RateMissing, match="too large"):
        TABLE.convert(2**63 - 1, "EUR", "USD", DAY)


@pytest.mark.parametrize(
    ("content", "name", "line", "words"),
    [
        (b"", "r.csv", 1, "no rates"),
        (b"date,base,quote,rate\n", "r.csv", 1, "no rates"),
        (b"day,base,quote,rate\n", "r.csv", 1, "columns"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD\n", "r.csv", 2, "more or fewer"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD,1.1\n2026-3-7,EUR,USD,1.1\n", "r.csv", 3, "no day"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD,0\n", "r.csv", 2, "no rate"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD,-1\n", "r.csv", 2, "no rate"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD,1e3\n", "r.csv", 2, "no rate"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD,NaN\n", "r.csv", 2, "no rate"),
        (b"date,base,quote,rate\n2026-03-06,EUR,usd,1.1\n", "r.csv", 2, "ISO 4217"),
        (b"date,base,quote,rate\n2026-03-06,EUR,EUR,1.1\n", "r.csv", 2, "the base itself"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD,1\n2026-03-06,USD,GBP,1\n", "r.csv", 3, "the base is `USD`"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD,1\n2026-03-06,EUR,USD,1\n", "r.csv", 3, "twice"),
        (b"date,base,quote,rate\n2026-03-06,EUR,USD,\xff\n", "r.csv", 1, "UTF-8"),
        (b'date,base,quote,rate\n"2026-03-06,EUR,USD,1\n', "r.csv", 2, "CSV"),
        (b"base: EUR\nrates:\n  2026-03-06: {USD: 1.1}\n", "r.yaml", 3, "no rate"),
        (b"base: EUR\nrates:\n  2026-03-06: 1\n", "r.yaml", 3, "no rates"),
        (b"rates: {}\n", "r.yaml", 1, "no rate table"),
    ],
)
def test_what_is_wrong_with_a_table_is_named_with_its_line(content, name, line, words):
    with pytest.raises(PolicyError, match=words) as refused:
        rates_from(content, name)
    assert refused.value.position is not None
    assert refused.value.position.line == line
