"""Money: transfers with and without review, sweeps and schedules in their time, what stops them; and none is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import Adyen
import pytest

from paycordon_adyen.simulator.times import BadSchedule, next_run

AN_HOUR, A_DAY = timedelta(hours=1), timedelta(days=1)
SUSPENDED = {"status": "suspended"}


def eur(value):
    return {"currency": "EUR", "value": value}


@pytest.fixture
def account(simulator, holder):
    return simulator.balance_account_of(holder)


@pytest.fixture
def send(sdk, simulator, holder, account):
    """Send money to the account holder's bank account, and return the transfer's id."""

    def asked(value=1_000, **fields):
        body = {"amount": eur(value), "balanceAccountId": account, "category": "bank"}
        body |= {"counterparty": {"transferInstrumentId": simulator.transfer_instrument_of(holder)}, **fields}
        return sdk.transfers.transfers_api.transfer_funds(body).message["id"]

    return asked


@pytest.fixture
def status_of(sdk):
    def read(id_):
        found = sdk.transfers.transfers_api.get_transfer(id_).message
        return found["status"], found["reason"]

    return read


def sequence(simulator, id_):
    told = [each.body["data"] for each in simulator.told() if each.body.get("data", {}).get("id") == id_]
    return [(each["sequenceNumber"], each["status"]) for each in told]


def test_a_transfer_is_received_authorised_and_booked(simulator, holder, send, status_of):
    id_ = send(1_000)
    assert status_of(id_) == ("authorised", "approved")
    assert simulator.balance(holder) == 99_000
    simulator.advance(AN_HOUR)
    assert status_of(id_) == ("booked", "approved")
    assert sequence(simulator, id_) == [(1, "received"), (2, "authorised"), (3, "booked")]
    assert [each.type for each in simulator.told()][-3:] == ["balancePlatform.transfer.created"] + [
        "balancePlatform.transfer.updated"
    ] * 2


def test_a_transfer_under_review_moves_nothing_until_it_is_approved_often_enough(
    simulator, sdk, holder, send, status_of
):
    id_ = send(review={"numberOfApprovalsRequired": 2})
    approve = sdk.transfers.transfers_api.approve_initiated_transfers
    for _ in range(2):
        assert status_of(id_) == ("pendingApproval", "pendingApproval")
        assert simulator.balance(holder) == 100_000
        approve({"transferIds": [id_]})
    assert status_of(id_) == ("authorised", "approved")
    with pytest.raises(Adyen.exceptions.AdyenAPIUnprocessableEntity):
        approve({"transferIds": [id_]})


def test_a_review_lapses_after_thirty_days(simulator, sdk, holder, send, status_of):
    id_ = send(review={"numberOfApprovalsRequired": 1})
    simulator.advance(timedelta(days=30) - AN_HOUR)
    assert status_of(id_)[0] == "pendingApproval"
    simulator.advance(AN_HOUR)
    assert status_of(id_) == ("cancelled", "approvalExpired")
    assert sequence(simulator, id_) == [(1, "received"), (2, "pendingApproval"), (3, "cancelled")]
    with pytest.raises(Adyen.exceptions.AdyenAPIUnprocessableEntity):
        sdk.transfers.transfers_api.approve_initiated_transfers({"transferIds": [id_]})
    assert simulator.balance(holder) == 100_000


def test_only_what_waits_for_approval_is_cancelled_and_all_of_it_or_none(sdk, send, status_of):
    waiting, gone = send(review={"numberOfApprovalsRequired": 1}), send()
    cancel = sdk.transfers.transfers_api.cancel_initiated_transfers
    for ids in ([waiting, gone], [waiting, "UNKNOWN"], [waiting, waiting], []):
        with pytest.raises(Adyen.exceptions.AdyenAPIUnprocessableEntity):
            cancel({"transferIds": ids})
    assert status_of(waiting)[0] == "pendingApproval"
    cancel({"transferIds": [waiting]})
    assert status_of(waiting) == ("cancelled", "cancelled")


@pytest.mark.parametrize(
    ("stopped", "reason"),
    [
        (lambda s, holder: s.set_by_hand("accountHolders", holder, SUSPENDED), "accountHierarchyNotActive"),
        (
            lambda s, holder: s.set_by_hand(
                "accountHolders", holder, {"capabilities": {"sendToTransferInstrument": {"enabled": False}}}
            ),
            "accountHierarchyNotActive",
        ),
        (
            lambda s, holder: s.set_by_hand("balanceAccounts", s.balance_account_of(holder), SUSPENDED),
            "accountHierarchyNotActive",
        ),
        (lambda s, holder: s.fail_verification(holder, "sendToTransferInstrument"), "accountHierarchyNotActive"),
        (lambda s, holder: s.fund(holder, -99_500), "notEnoughBalance"),
    ],
)
def test_what_is_stopped_is_refused_also_after_its_approval(simulator, sdk, holder, send, status_of, stopped, reason):
    waiting = send(review={"numberOfApprovalsRequired": 1})
    stopped(simulator, holder)
    id_ = send()
    assert status_of(id_) == ("refused", reason)
    sdk.transfers.transfers_api.approve_initiated_transfers({"transferIds": [waiting]})
    assert status_of(waiting) == ("refused", reason)
    assert simulator.balance(holder) in (100_000, 500)


def rule(holder, **fields):
    made = {
        "description": "Transfers are on hold",
        "reference": "own",
        "entityKey": {"entityType": "accountHolder", "entityReference": holder},
        "interval": {"type": "perTransaction"},
        "outcomeType": "hardBlock",
        "requestType": "bankTransfer",
        "ruleRestrictions": {"counterpartyTypes": {"operation": "anyMatch", "value": ["transferInstrument"]}},
        "type": "blockList",
    }
    return {**made, **fields}


def test_a_transaction_rule_blocks_until_it_is_switched_off(sdk, holder, send, status_of):
    rules = sdk.balancePlatform.transaction_rules_api
    made = rules.create_transaction_rule(rule(holder)).message["id"]
    blocked = send()
    assert status_of(blocked) == ("refused", "declinedByTransactionRule")
    said = sdk.transfers.transfers_api.get_transfer(blocked).message["transactionRulesResult"]
    assert said["triggeredTransactionRules"][0]["transactionRule"]["id"] == made
    rules.update_transaction_rule({"status": "inactive"}, made)  # which Adyen says is enough
    assert status_of(send()) == ("authorised", "approved")


def test_a_transaction_rule_may_be_about_amounts(sdk, holder, send, status_of):
    above = {"totalAmount": {"operation": "greaterThan", "value": eur(500)}}
    sdk.balancePlatform.transaction_rules_api.create_transaction_rule(rule(holder, ruleRestrictions=above))
    assert [status_of(send(value))[0] for value in (500, 501)] == ["authorised", "refused"]


def test_a_rule_that_would_not_be_judged_is_not_taken(sdk, holder):
    untold = {"countries": {"operation": "anyMatch", "value": ["NL"]}}
    with pytest.raises(Adyen.exceptions.AdyenAPIUnprocessableEntity, match="not judged by this simulator"):
        sdk.balancePlatform.transaction_rules_api.create_transaction_rule(rule(holder, ruleRestrictions=untold))


@pytest.mark.parametrize(
    ("scope", "sent"), [("perTransaction", ["authorised"] * 2), ("perDay", ["authorised", "refused"])]
)
def test_a_limit_counts_by_transfer_or_by_day(simulator, sdk, account, send, status_of, scope, sent):
    limit = {"amount": eur(1_500), "scope": scope, "transferType": "all"}
    sdk.balancePlatform.transfer_limits_balance_account_level_api.create_transfer_limit(limit, account)
    assert [status_of(send(1_000))[0] for _ in range(2)] == sent
    assert status_of(send(1_501)) == ("refused", "amountLimitExceeded")
    simulator.advance(A_DAY)
    assert status_of(send(1_000))[0] == "authorised"


def test_money_comes_back_from_a_transfer_that_fails_before_or_after_it_is_booked(simulator, holder, send, status_of):
    early, late = send(), send()
    simulator.fail_transfer(early)
    simulator.advance(AN_HOUR)
    simulator.fail_transfer(late, "refusedByCounterpartyBank")
    assert status_of(early) == ("failed", "counterpartyAccountClosed")
    assert status_of(late) == ("returned", "refusedByCounterpartyBank")
    assert simulator.balance(holder) == 100_000


def test_between_balance_accounts_money_leaves_one_and_reaches_the_other(simulator, sdk, holder, account):
    other = simulator.create_account_holder(balance={})
    body = {"amount": eur(400), "balanceAccountId": account, "category": "internal"}
    body["counterparty"] = {"balanceAccountId": simulator.balance_account_of(other)}
    sdk.transfers.transfers_api.transfer_funds(body)
    simulator.advance(AN_HOUR)
    assert (simulator.balance(holder), simulator.balance(other)) == (99_600, 400)
    (came,) = simulator.transfers(other)
    assert (came["category"], came["direction"], came["status"]) == ("internal", "incoming", "booked")


def test_no_money_is_made_or_lost(simulator, sdk, holder, send):
    payment = simulator.pay(holder, 5_000)
    simulator.refund(payment, 1_200)
    dispute = simulator.open_dispute(simulator.pay(holder, 800))
    simulator.go_on(dispute, "CHARGEBACK_REVERSED")
    simulator.go_on(dispute, "SECOND_CHARGEBACK")
    simulator.receive(holder, 300)
    send(2_000)
    simulator.advance(A_DAY)
    expected = 100_000 + 5_000 - 1_200 + 800 - 800 + 800 - 800 + 300 - 2_000
    assert simulator.balance(holder) == expected
    moved = sum(each["balances"][0]["balance"] for each in simulator.transfers(holder))
    assert moved == expected - 100_000
    assert all(
        each["balances"][0]["reserved"] == each["balances"][0]["received"] == 0 for each in simulator.transfers(holder)
    )


def test_a_daily_sweep_pays_out_at_seven_in_the_morning_until_it_is_inactive(simulator, sdk, holder, account):
    sweep = simulator.add_sweep(holder, targetAmount=eur(1_000))
    simulator.advance(timedelta(hours=17))
    assert simulator.balance(holder) == 100_000
    simulator.advance(timedelta(hours=2))
    assert simulator.balance(holder) == 1_000
    (paid,) = simulator.transfers(holder)
    assert (paid["createdAt"], paid["reference"]) == ("2026-03-03T06:00:00+00:00", sweep)

    sdk.balancePlatform.custom_payout_schedules_sweeps_api.update_sweep({"status": "inactive"}, account, sweep)
    simulator.fund(holder, 5_000)
    simulator.advance(timedelta(days=3))
    assert simulator.balance(holder) == 6_000
    sdk.balancePlatform.custom_payout_schedules_sweeps_api.update_sweep({"status": "active"}, account, sweep)
    simulator.advance(A_DAY)
    assert simulator.balance(holder) == 1_000


def test_a_sweep_of_a_suspended_account_holder_is_refused_and_tries_again_the_next_day(simulator, holder):
    simulator.add_sweep(holder)
    simulator.set_by_hand("accountHolders", holder, SUSPENDED)
    simulator.advance(A_DAY)
    simulator.set_by_hand("accountHolders", holder, {"status": "active"})
    assert [each["status"] for each in simulator.transfers(holder)] == ["refused"]
    simulator.advance(A_DAY)
    assert [each["status"] for each in simulator.transfers(holder)] == ["refused", "booked"]


def test_a_sweep_that_waits_for_a_balance_runs_when_it_is_there(simulator, holder):
    simulator.add_sweep(holder, schedule={"type": "balance"}, triggerAmount=eur(150_000), sweepAmount=eur(120_000))
    simulator.fund(holder, 49_999)
    simulator.advance(A_DAY)
    assert simulator.transfers(holder) == []
    simulator.pay(holder, 1)
    simulator.advance(AN_HOUR)
    assert simulator.balance(holder) == 30_000


def test_a_sweep_that_pulls_fills_up(simulator, holder):
    simulator.fund(holder, -99_900)
    simulator.add_sweep(holder, type="pull", triggerAmount=eur(500), targetAmount=eur(2_000))
    simulator.advance(A_DAY)
    assert simulator.balance(holder) == 2_000


def test_sweeps_are_listed_to_the_last_page(simulator, sdk, holder, account):
    made = [simulator.add_sweep(holder) for _ in range(23)]
    listed, offset = [], 0
    while True:
        page = sdk.balancePlatform.custom_payout_schedules_sweeps_api.get_all_sweeps_for_balance_account(
            account, query_parameters={"limit": "10", "offset": str(offset)}
        ).message
        listed += [each["id"] for each in page["sweeps"]]
        offset += len(page["sweeps"])
        if not page["hasNext"]:
            break
    assert (listed, page["hasPrevious"]) == (made, True)


def test_payout_schedules_are_listed_to_the_last_page(simulator, sdk, holder, account):
    made = [simulator.add_payout_schedule(holder, enabled=False) for _ in range(12)]
    schedules = sdk.balancePlatform.managed_payout_schedules_api
    first = schedules.get_balance_account_managed_schedules(account).message
    cursor = first["link"]["next"]["href"].rpartition("cursor=")[2]
    second = schedules.get_balance_account_managed_schedules(account, query_parameters={"cursor": cursor}).message
    listed = [*first["balanceAccountPayoutSchedules"], *second["balanceAccountPayoutSchedules"]]
    assert ([each["id"] for each in listed], "next" in second["link"]) == (made, False)


def test_a_payout_schedule_pays_out_on_working_days_and_says_what_it_did(simulator, holder):
    simulator.add_payout_schedule(holder, minPayoutAmount=200, retainedAmount=10_000)
    simulator.advance(A_DAY)  # Tuesday
    assert simulator.balance(holder) == 10_000
    simulator.fund(holder, 100)
    simulator.advance(A_DAY)  # too little
    simulator.fund(holder, 1_000)
    simulator.set_by_hand("accountHolders", holder, SUSPENDED)
    simulator.advance(A_DAY)
    simulator.set_by_hand("accountHolders", holder, {"status": "active"})
    simulator.advance(timedelta(days=4))  # over the weekend
    names = [each.type.rpartition(".")[2] for each in simulator.told(holder) if "Execution." in each.type]
    assert names == ["succeeded", "skipped", "failed", "succeeded", "skipped"]


@pytest.mark.parametrize(
    ("fields", "days"),
    [
        ({"frequency": "weekly", "frequencyValue": 3}, ["2026-03-04", "2026-03-11"]),
        ({"frequency": "monthly", "frequencyValue": 31}, ["2026-03-31", "2026-04-30"]),
        ({"frequency": "monthly", "frequencyValue": 7}, ["2026-03-09", "2026-04-07"]),  # a Saturday: on Monday
    ],
)
def test_payout_schedules_know_their_days(simulator, holder, fields, days):
    simulator.add_payout_schedule(holder, maxPayoutAmount=10, **fields)
    simulator.advance(timedelta(days=62))
    assert [each["createdAt"][:10] for each in simulator.transfers(holder)][:2] == days


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ({"type": "weekly"}, "2026-03-09T06:00"),
        ({"type": "monthly"}, "2026-04-01T05:00"),  # summer time
        ({"type": "cron", "cronExpression": "30 17 * * MON"}, "2026-03-02T16:30"),
        ({"type": "cron", "cronExpression": "*/15 0,13 2-31/2 MAR *"}, "2026-03-02T12:15"),
        ({"type": "cron", "cronExpression": "0 9 1 * FRI"}, "2026-03-06T08:00"),
        ({"type": "cron", "cronExpression": "0 9 * * 7"}, "2026-03-08T08:00"),
    ],
)
def test_schedules_are_due_in_their_time_zone(schedule, due):
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert next_run(schedule, noon, "Europe/Amsterdam") == datetime.fromisoformat(f"{due}+00:00")


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "60 * * * *", "0 0 L * *", "0 0 30 2 *", "5-1 * * * *", "a * * * *"]
)
def test_cron_expressions_that_mean_nothing_are_not_taken(simulator, sdk, holder, account, expression):
    schedule = {"type": "cron", "cronExpression": expression}
    with pytest.raises(BadSchedule):
        next_run(schedule, datetime(2026, 3, 2, 12, tzinfo=UTC), "Europe/Amsterdam")
    sweep = {"counterparty": {"transferInstrumentId": simulator.transfer_instrument_of(holder)}, "currency": "EUR"}
    with pytest.raises(Adyen.exceptions.AdyenAPIUnprocessableEntity):
        sdk.balancePlatform.custom_payout_schedules_sweeps_api.create_sweep({**sweep, "schedule": schedule}, account)


def test_nothing_is_sent_to_a_bank_account_of_somebody_else(simulator, sdk, account, send):
    other = simulator.transfer_instrument_of(simulator.create_account_holder())
    with pytest.raises(Adyen.exceptions.AdyenAPIUnprocessableEntity, match="belongs to another legal entity"):
        send(counterparty={"transferInstrumentId": other})


def test_an_incoming_transfer_is_returned_once(simulator, sdk, holder):
    came = simulator.receive(holder, 500)
    give_back = sdk.transfers.transfers_api.return_transfer
    give_back({"amount": eur(300)}, came)
    with pytest.raises(Adyen.exceptions.AdyenAPIUnprocessableEntity):
        give_back({"amount": eur(300)}, came)
    simulator.advance(AN_HOUR)
    assert simulator.balance(holder) == 100_200


def test_transfers_are_listed_between_times_in_either_order_to_the_last_page(simulator, sdk, holder, send):
    made = [send(100) for _ in range(5)]
    simulator.advance(A_DAY)
    send(100)
    asked = {"accountHolderId": holder, "createdSince": "2026-03-02T00:00:00Z", "createdUntil": "2026-03-03T00:00:00Z"}
    asked |= {"limit": "2", "sortOrder": "desc"}
    found, cursor = [], None
    while cursor != "":
        given = {**asked, **({"cursor": cursor} if cursor else {})}
        page = sdk.transfers.transfers_api.get_all_transfers(query_parameters=given).message
        found += [each["id"] for each in page["data"]]
        cursor = page["_links"].get("next", {}).get("href", "").rpartition("cursor=")[2]
    assert found == made[::-1]
