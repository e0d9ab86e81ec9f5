"""Every route is reached by the SDK, takes what Adyen describes, and answers in the shape that Adyen describes."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from paycordon_adyen.simulator.routes import ROUTES, route_of

COMPANY = {"legalName": "Synthetic Goods B.V.", "registeredAddress": {"country": "NL"}}
IBAN = {"type": "iban", "iban": "NL02SIMU0000000042"}
PDF = base64.b64encode(b"%PDF-synthetic").decode()
EUR = "EUR"


def money(value):
    return {"currency": EUR, "value": value}


@pytest.mark.usefixtures("lawful")
def test_every_verb_is_driven_by_the_sdk_and_answers_in_adyens_shape(sdk, simulator):
    holder, instrument = of_entities(sdk.legalEntityManagement, sdk.balancePlatform, simulator)
    account = of_balance_accounts(sdk.balancePlatform, simulator, holder)
    of_sweeps(sdk.balancePlatform.custom_payout_schedules_sweeps_api, account, instrument)
    of_schedules(sdk.balancePlatform, simulator, account, instrument)
    of_rules(sdk.balancePlatform, simulator, holder, account)
    of_limits(sdk.balancePlatform, simulator, account)
    of_transfers(sdk.transfers.transfers_api, simulator, holder, account, instrument)
    of_disputes(sdk.disputes.disputes_api, simulator, holder)
    end_of_entities(sdk.legalEntityManagement, sdk.balancePlatform, simulator, instrument)

    reached = {route_of(sent.method, sent.path)[0] for sent in simulator.requests}
    assert {f"{each.method} {each.path}" for each in set(ROUTES) - reached} == set()


def of_entities(lem, platform, simulator):
    entities, lines, instruments = lem.legal_entities_api, lem.business_lines_api, lem.transfer_instruments_api
    entity = entities.create_legal_entity({"type": "organization", "organization": COMPANY}).message["id"]
    entities.update_legal_entity({"organization": {**COMPANY, "doingBusinessAs": "Synthetic"}}, entity)
    line = {"legalEntityId": entity, "service": "banking", "industryCode": "4431A"}
    line_id = lines.create_business_line(line).message["id"]
    lines.update_business_line({"industryCode": "339E"}, line_id)
    assert lines.get_business_line(line_id).message["industryCode"] == "339E"
    assert len(entities.get_all_business_lines_under_legal_entity(entity).message["businessLines"]) == 1
    assert lines.delete_business_line(line_id).status_code == 204
    given = {"legalEntityId": entity, "type": "bankAccount", "bankAccount": {"accountIdentification": IBAN}}
    instrument = instruments.create_transfer_instrument(given).message["id"]
    instruments.update_transfer_instrument(given, instrument)
    assert instruments.get_transfer_instrument(instrument).message["legalEntityId"] == entity
    found = entities.get_legal_entity(entity).message
    assert (found["organization"]["doingBusinessAs"], len(found["transferInstruments"])) == ("Synthetic", 1)

    holders = platform.account_holders_api
    asked = {name: {"requested": True} for name in ("receivePayments", "sendToTransferInstrument")}
    made = holders.create_account_holder({"legalEntityId": entity, "capabilities": asked}).message
    assert made["capabilities"]["sendToTransferInstrument"]["verificationStatus"] == "pending"
    simulator.fail_verification(made["id"])
    assert len(entities.check_legal_entitys_verification_errors(entity).message["problems"]) == 1
    simulator.onboard(made["id"])
    assert holders.get_account_holder(made["id"]).message["capabilities"]["receivePayments"]["allowed"] is True
    holders.update_account_holder({"metadata": {"own": "1"}}, made["id"])
    listed = platform.platform_api.get_all_account_holders_under_balance_platform(simulator.ledger.platform).message
    assert [each["id"] for each in listed["accountHolders"]] == [made["id"]]
    return made["id"], instrument


def of_balance_accounts(platform, simulator, holder):
    accounts = platform.balance_accounts_api
    account = accounts.create_balance_account({"accountHolderId": holder, "timeZone": "Europe/Paris"}).message["id"]
    accounts.update_balance_account({"description": "synthetic"}, account)
    simulator.fund(holder, 1_000_000)
    assert accounts.get_balance_account(account).message["balances"][0]["available"] == 1_000_000
    listed = platform.account_holders_api.get_all_balance_accounts_of_account_holder(holder).message
    assert [each["id"] for each in listed["balanceAccounts"]] == [account]
    return account


def of_sweeps(sweeps, account, instrument):
    asked = {"counterparty": {"transferInstrumentId": instrument}, "currency": EUR, "schedule": {"type": "weekly"}}
    sweep = sweeps.create_sweep({**asked, "triggerAmount": money(50_000_000)}, account).message["id"]
    sweeps.update_sweep({"status": "inactive"}, account, sweep)
    assert sweeps.get_sweep(account, sweep).message["status"] == "inactive"
    assert len(sweeps.get_all_sweeps_for_balance_account(account).message["sweeps"]) == 1
    assert sweeps.delete_sweep(account, sweep).status_code == 204


def of_schedules(platform, simulator, account, instrument):
    schedules = platform.managed_payout_schedules_api
    offered = schedules.get_balance_platform_managed_schedules(simulator.ledger.platform).message
    asked = {"balancePlatformPayoutScheduleId": offered["balancePlatformPayoutSchedules"][0]["id"]}
    named = schedules.get_balance_platform_managed_schedule_by_id(simulator.ledger.platform, *asked.values()).message
    assert [named] == offered["balancePlatformPayoutSchedules"]
    asked |= {"frequency": "daily", "transferInstrumentId": instrument, "maxPayoutAmount": 1_000}
    schedule = schedules.apply_managed_schedule(asked, account).message["id"]
    simulator.advance(timedelta(days=1))
    page = {"results": "succeeded,failed", "limit": "10", "offset": "1"}
    ran = schedules.get_payout_schedule_executions(account, schedule, query_parameters=page).message
    done = ran["payoutScheduleExecutions"]
    assert [each["result"] for each in done] == ["succeeded"]
    schedules.update_balance_account_managed_schedule({"enabled": False}, account, schedule)
    assert schedules.get_balance_account_managed_schedule_by_id(account, schedule).message["enabled"] is False
    listed = schedules.get_balance_account_managed_schedules(account).message["balanceAccountPayoutSchedules"]
    assert [each["id"] for each in listed] == [schedule]
    assert schedules.delete_balance_account_managed_schedule(account, schedule).status_code == 204


def of_rules(platform, simulator, holder, account):
    rules = platform.transaction_rules_api
    rule = {
        "description": "Transfers are on hold",
        "reference": "own",
        "entityKey": {"entityType": "balanceAccount", "entityReference": account},
        "interval": {"type": "perTransaction"},
        "outcomeType": "hardBlock",
        "requestType": "bankTransfer",
        "ruleRestrictions": {"counterpartyTypes": {"operation": "anyMatch", "value": ["transferInstrument"]}},
        "type": "blockList",
    }
    made = rules.create_transaction_rule(rule).message["id"]
    assert rules.get_transaction_rule(made).message["transactionRule"]["status"] == "active"
    rules.update_transaction_rule({**rule, "status": "inactive"}, made)
    found = platform.balance_accounts_api.get_all_transaction_rules_for_balance_account(account).message
    assert [each["status"] for each in found["transactionRules"]] == ["inactive"]
    assert platform.account_holders_api.get_all_transaction_rules_for_account_holder(holder).message == {
        "transactionRules": []
    }
    of_platform = platform.platform_api.get_all_transaction_rules_for_balance_platform(simulator.ledger.platform)
    assert of_platform.message == {"transactionRules": []}
    assert rules.delete_transaction_rule(made).message["id"] == made


def of_limits(platform, simulator, account):
    later = (simulator.clock() + timedelta(days=2)).isoformat()
    asked = {"amount": money(900_000), "scope": "perDay", "transferType": "all"}
    of_account, of_all = (
        platform.transfer_limits_balance_account_level_api,
        platform.transfer_limits_balance_platform_level_api,
    )
    of_account.create_transfer_limit(asked, account)
    made = of_account.create_transfer_limit({**asked, "startsAt": later}, account).message["id"]
    assert of_account.get_specific_transfer_limit(account, made).message["limitStatus"] == "scheduled"
    assert len(of_account.get_transfer_limits(account).message["transferLimits"]) == 2
    assert len(of_account.get_current_transfer_limits(account).message["transferLimits"]) == 1
    assert of_account.delete_pending_transfer_limit(account, made).status_code == 204
    own = simulator.ledger.platform
    made = of_all.create_transfer_limit({**asked, "startsAt": later}, own).message["id"]
    assert of_all.get_specific_transfer_limit(own, made).message["scope"] == "perDay"
    assert len(of_all.get_transfer_limits(own).message["transferLimits"]) == 1
    assert of_all.delete_pending_transfer_limit(own, made).status_code == 204


def of_transfers(transfers, simulator, holder, account, instrument):
    asked = {"amount": money(1_000), "balanceAccountId": account, "category": "bank"}
    asked |= {"counterparty": {"transferInstrumentId": instrument}, "review": {"numberOfApprovalsRequired": 1}}
    first, second = (transfers.transfer_funds(asked).message["id"] for _ in range(2))
    assert transfers.get_transfer(first).message["status"] == "pendingApproval"
    transfers.approve_initiated_transfers({"transferIds": [first]})
    transfers.cancel_initiated_transfers({"transferIds": [second]})
    assert [transfers.get_transfer(id_).message["status"] for id_ in (first, second)] == ["authorised", "cancelled"]
    came = simulator.receive(holder, 700)
    assert transfers.return_transfer({"amount": money(700)}, came).message["status"] == "Authorised"
    window = {"createdSince": "2026-01-01T00:00:00Z", "createdUntil": "2026-12-31T00:00:00Z", "limit": "3"}
    page = transfers.get_all_transfers(query_parameters={"balanceAccountId": account, **window}).message
    assert (len(page["data"]), "cursor=" in page["_links"]["next"]["href"]) == (3, True)


def of_disputes(disputes, simulator, holder):
    dispute = simulator.open_dispute(simulator.pay(holder, 5_000))
    named = {"disputePspReference": dispute, "merchantAccountCode": simulator.ledger.merchant}
    document = {"content": PDF, "contentType": "application/pdf", "defenseDocumentTypeCode": "DefenseMaterial"}
    first = disputes.retrieve_applicable_defense_reasons(named).message["defenseReasons"]
    assert [each["satisfied"] for each in first] == [False, False]
    disputes.supply_defense_document({**named, "defenseDocuments": [document]})
    disputes.delete_dispute_defense_document({**named, "defenseDocumentType": "DefenseMaterial"})
    disputes.supply_defense_document({**named, "defenseDocuments": [document]})
    done = disputes.defend_dispute({**named, "defenseReasonCode": "SupplyDefenseMaterial"}).message
    assert done == {"disputeServiceResult": {"success": True}}
    other = simulator.open_dispute(simulator.pay(holder, 600), "REQUEST_FOR_INFORMATION")
    assert disputes.accept_dispute({**named, "disputePspReference": other}).message == done
    again = disputes.accept_dispute({**named, "disputePspReference": other}).message
    assert again["disputeServiceResult"]["success"] is False


def end_of_entities(lem, platform, simulator, instrument):
    assert lem.transfer_instruments_api.delete_transfer_instrument(instrument).status_code == 204
