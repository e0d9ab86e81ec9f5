"""Balances, schedules, payouts, transfers, charges and disputes at the simulator, as its clock goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from paycordon_stripe.simulator.books import Books

DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
BANK = {"object": "bank_account", "country": "US", "currency": "usd", "routing_number": "110000000"}


@pytest.fixture
def manual(client, account):
    schedule = {"settings": {"payouts": {"schedule": {"interval": "manual"}}}}
    client.v1.accounts.update(account, schedule)
    return account


def balance(client, of):
    found = client.v1.balance.retrieve({}, of)
    return found.available[0].amount, found.pending[0].amount


def automatic(simulator, account):
    return [payout["amount"] for payout in simulator.payouts(account) if payout["automatic"]]


def types(simulator, account, prefix):
    return [event["type"] for event in simulator.events(account) if event["type"].startswith(prefix)]


def test_a_payout_takes_its_money_at_once_and_a_cancelled_one_brings_it_back(client, manual, of):
    payout = client.v1.payouts.create({"amount": 30_000, "currency": "usd"}, of)
    after = balance(client, of)
    client.v1.payouts.cancel(payout.id, {}, of)

    assert (after, balance(client, of)) == ((70_000, 0), (100_000, 0))
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.cancel(payout.id, {}, of)


def test_more_than_there_is_cannot_be_paid_out(client, manual, of):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payouts.create({"amount": 100_001, "currency": "usd"}, of)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.create({"amount": 1, "currency": "eur"}, of)

    assert refused.value.code == "balance_insufficient"
    assert balance(client, of) == (100_000, 0)


def test_an_account_without_books_always_has_enough_and_is_never_paid_out_by_itself(client, simulator):
    account = simulator.create_account()
    client.v1.payouts.create({"amount": 10**9, "currency": "usd"}, {"stripe_account": account})
    simulator.advance(40 * DAY)

    assert len(simulator.payouts(account)) == 1


def test_a_payout_goes_on_by_itself_and_tells_of_each_step(client, simulator, manual, of):
    payout = client.v1.payouts.create({"amount": 100, "currency": "usd"}, of).id

    def status():
        return client.v1.payouts.retrieve(payout, {}, of).status

    seen = [status()]
    for hours in (13, 12):
        simulator.advance(timedelta(hours=hours))
        seen.append(status())

    assert seen == ["pending", "in_transit", "paid"]
    assert types(simulator, manual, "payout.") == ["payout.created", "payout.updated", "payout.paid"]


def test_the_clock_may_jump_and_each_event_still_has_its_own_time(client, simulator, manual, of):
    client.v1.payouts.create({"amount": 100, "currency": "usd", "method": "instant"}, of)
    simulator.advance(7 * DAY)

    created, paid = (e["created"] for e in simulator.events(manual) if e["type"] in ("payout.created", "payout.paid"))
    assert paid - created == 30 * 60


def test_a_bank_that_fails_sends_the_money_back_even_after_it_was_paid(client, simulator, manual, of):
    payout = client.v1.payouts.create({"amount": 100, "currency": "usd"}, of).id
    simulator.advance(2 * DAY)
    simulator.fail_payout(manual, payout, "account_closed")

    failed = client.v1.payouts.retrieve(payout, {}, of)
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    assert balance(client, of) == (100_000, 0)
    assert types(simulator, manual, "payout.")[-2:] == ["payout.paid", "payout.failed"]


def test_stripes_failing_test_account_fails_when_the_payout_arrives(client, simulator, manual, of):
    bank = {**BANK, "account_number": "000111111116"}
    bank_id = client.v1.accounts.external_accounts.create(manual, {"external_account": bank}).id
    payout = client.v1.payouts.create({"amount": 100, "currency": "usd"}, of)
    simulator.advance(2 * DAY)

    assert payout.destination == bank_id
    assert client.v1.payouts.retrieve(payout.id, {}, of).failure_code == "no_account"
    assert client.v1.accounts.external_accounts.retrieve(manual, bank_id).status == "errored"


@pytest.mark.parametrize(
    ("country", "status", "works"),
    [("US", "paid", True), ("CA", "paid", True), ("DE", "paid", False), ("US", "pending", False)],
)
def test_a_payout_is_reversed_within_stripes_limits(client, simulator, country, status, works):
    account = simulator.create_account(country=country, balance={"usd": 500})
    of = {"stripe_account": account}
    simulator.set_by_hand(account, "settings.payouts.schedule.interval", "manual")
    payout = client.v1.payouts.create({"amount": 500, "currency": "usd"}, of).id
    simulator.advance(2 * DAY if status == "paid" else timedelta(0))

    if not works:
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.payouts.reverse(payout, {}, of)
        return
    back = client.v1.payouts.reverse(payout, {}, of)
    assert (back.original_payout, client.v1.payouts.retrieve(payout, {}, of).reversed_by) == (payout, back.id)
    assert balance(client, of) == (500, 0)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.reverse(payout, {}, of)


def test_payouts_of_the_platform_are_never_reversed(client, simulator):
    payout = client.v1.payouts.create({"amount": 500, "currency": "usd"}).id
    simulator.advance(2 * DAY)

    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.reverse(payout)


def test_a_daily_schedule_pays_out_at_midnight_and_a_manual_one_does_not(client, simulator, account, manual):
    daily = simulator.create_account(balance={"usd": 700})
    simulator.advance(DAY)

    assert automatic(simulator, daily) == [700]
    assert automatic(simulator, manual) == []
    (payout,) = simulator.payouts(daily)
    assert (payout["automatic"], payout["description"]) == (True, "STRIPE PAYOUT")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payouts.cancel(payout["id"], {}, {"stripe_account": daily})


@pytest.mark.parametrize(
    ("schedule", "days"),
    [
        ({"interval": "weekly", "weekly_anchor": "thursday"}, ["2026-03-05", "2026-03-12", "2026-03-19"]),
        ({"interval": "monthly", "monthly_anchor": 31}, ["2026-03-31", "2026-04-30", "2026-05-31"]),
    ],
)
def test_a_schedule_pays_out_on_its_days(client, simulator, account, of, schedule, days):
    client.v1.accounts.update(account, {"settings": {"payouts": {"schedule": schedule}}})
    made = []
    for _ in range(100):
        simulator.fund(account, 10)
        simulator.advance(DAY)
    for payout in simulator.payouts(account)[:3]:
        made.append(datetime.fromtimestamp(payout["created"], UTC).date().isoformat())

    assert made == days


@pytest.mark.parametrize(("country", "days"), [("DE", 90), ("US", 730), ("TH", 10)])
def test_stripe_itself_ends_a_manual_hold_after_its_time(client, simulator, country, days):
    account = simulator.create_account(country=country, balance={"usd": 900})
    simulator.set_by_hand(account, "settings.payouts.schedule.interval", "manual")
    simulator.advance((days - 1) * DAY)
    simulator.fund(account, 50)
    before = automatic(simulator, account)
    simulator.advance(2 * DAY)

    assert (before, automatic(simulator, account)) == ([], [900]), "what came later is held for its own time"


def test_an_automatic_payout_leaves_the_minimum_and_nothing_to_a_rejected_account(client, simulator, account, of):
    kept = {"payments": {"payouts": {"minimum_balance_by_currency": {"usd": 60_000}}}}
    client.raw_request("post", "/v1/balance_settings", **kept, **of)
    other = simulator.create_account(balance={"usd": 700})
    client.v1.accounts.reject(other, {"reason": "other"})
    simulator.advance(DAY)

    assert (automatic(simulator, account), automatic(simulator, other)) == ([40_000], [])


def test_balance_settings_and_the_account_show_one_schedule(client, simulator, account, of):
    payments = {"payouts": {"schedule": {"interval": "manual"}}, "settlement_timing": {"delay_days_override": 31}}
    answer = client.raw_request("post", "/v1/balance_settings", payments=payments, **of)
    assert answer.code == 200
    shown = client.v1.accounts.retrieve(account).settings.payouts.schedule

    assert (shown.interval, shown.delay_days) == ("manual", 31)
    assert "balance_settings.updated" in types(simulator, account, "balance_settings")
    assert "account.updated" in types(simulator, account, "account.")


@pytest.mark.parametrize("days", [32, 0])
def test_the_delay_has_its_limits(client, account, of, days):
    timing = {"settlement_timing": {"delay_days_override": days}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.raw_request("post", "/v1/balance_settings", payments=timing, **of)
    assert refused.value.param == "payments[settlement_timing][delay_days_override]"


def test_the_null_that_trips_the_sdk_is_there_and_comes_after_the_change(client, simulator, account, of):
    schedule = {"payments": {"payouts": {"schedule": {"interval": "manual"}}}}
    with pytest.raises(AttributeError):
        client.v1.balance_settings.update(schedule, of)

    assert simulator.schedule(account)["interval"] == "manual"


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "expect"]), st.integers(1, 1_000))))
def test_money_is_neither_made_nor_lost_whatever_is_done(steps):
    books, total = Books(), 0
    for number, (step, amount) in enumerate(steps):
        at = START + number * DAY
        if step == "expect":
            books.expect("usd", amount, at + 3 * DAY)
        else:
            getattr(books, step)("usd", amount, at)
        total += -amount if step == "take" else amount
        list(books.ripen(at))
        assert books.available("usd") + books.pending("usd") == total
        assert 0 <= books.available_since("usd", at) <= max(0, books.available("usd"))


def test_an_account_made_over_the_api_is_paid_out_though_nothing_else_was_asked(client, simulator):
    made = client.v1.accounts.create({"country": "US"}).id
    simulator.onboard(made)
    simulator.fund(made, 300)
    simulator.advance(DAY)

    assert automatic(simulator, made) == [300]


def test_when_only_the_worlds_clock_goes_on_payouts_are_made_at_their_midnights_all_the_same(
    client, simulator, account, of, clock
):
    clock.advance(3 * DAY)
    (payout,) = client.v1.payouts.list({}, of).data

    made = datetime.fromtimestamp(payout.created, UTC)
    assert (made.hour, made.date(), payout.status) == (0, (clock() - 2 * DAY).date(), "paid")


def test_nothing_is_heard_of_an_account_after_its_access_was_ended(simulator, account, of, client):
    client.v1.payouts.create({"amount": 100, "currency": "usd"}, of)
    simulator.deauthorize(account)
    heard = simulator.events(account)
    simulator.advance(5 * DAY)

    assert simulator.events(account) == heard


def test_what_was_pulled_back_is_not_sent_back_as_well(client, simulator, account, of):
    simulator.set_by_hand(account, "settings.payouts.schedule.interval", "manual")
    payout = client.v1.payouts.create({"amount": 100, "currency": "usd"}, of).id
    simulator.advance(2 * DAY)
    back = client.v1.payouts.reverse(payout, {}, of).id
    for each in (payout, back):
        simulator.fail_payout(account, each)

    assert balance(client, of) == (100_000, 0)


def test_what_is_owed_is_taken_from_what_comes_first_and_the_rest_keeps_its_age():
    books = Books()
    books.take("usd", 100, START)
    books.add("usd", 150, START + DAY)
    books.add("usd", 100, START + 2 * DAY)
    books.take("usd", 60, START + 3 * DAY)

    ages = [books.available_since("usd", START + number * DAY) for number in range(4)]
    assert (ages, books.available("usd")) == ([0, 0, 90, 90], 90)
