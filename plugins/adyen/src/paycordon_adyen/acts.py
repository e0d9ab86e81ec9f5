"""Read and change restrictions at Adyen through its own SDK.

Writes are desired state: read first, write only what differs, read back. Account holders, sweeps and schedules are
changed by PATCH, which says how things should be, so sending it twice does no harm; Adyen takes idempotency keys with
POST only, and the one POST here, which adds a rule, carries one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import Adyen
from pydantic import ValidationError

from paycordon.adapting.fields import Node, problems
from paycordon.adapting.writing import request_key
from paycordon.errors import OutcomeUnknown, PayloadInvalid, Refused, RetryLater
from paycordon.events import Subject
from paycordon.gateways import Applied, Change, GatewayState, Restriction, check_fence
from paycordon_adyen.client import linked_pages, pages
from paycordon_adyen.errors import meaning_of, reading
from paycordon_adyen.ids import account_holder_id, in_path
from paycordon_adyen.restrictions import (
    ACTIVE,
    CLOSED,
    MANAGED_CAPABILITIES,
    RULE_REFERENCE,
    AccountSettings,
    switched,
)

_INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class _Write:
    """One request: `step` names it in its idempotency key."""

    step: str
    params: dict[str, Any]
    send: Callable[[dict[str, Any], str], object]


class Acts:
    """What workers do at Adyen.

    Args:
        sdk: must not retry by itself.
        takes: for how long an answer to one request is waited for.
        schedules: whether payout schedules that Adyen manages are read and switched, besides sweeps.
        adds_rule: whether a restriction also adds a transaction rule that blocks bank transfers.
    """

    def __init__(self, sdk: Adyen.Adyen, takes: timedelta, *, schedules: bool = True, adds_rule: bool = False) -> None:
        self._platform = sdk.balancePlatform
        self._takes = takes
        self._reads_schedules = schedules
        self._adds_rule = adds_rule

    def read(self, subject: Subject) -> GatewayState:
        """Read what is restricted now; see `paycordon.gateways.Gateway.read`."""
        return _state(self._settings(account_holder_id(subject)))

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        """Bring the account holder to a restriction; see `paycordon.gateways.Gateway.apply`."""
        holder = account_holder_id(subject)
        try:
            baseline = AccountSettings.model_validate(dict(change.baseline))
        except ValidationError as error:
            raise Refused(f"the baseline is not one of this adapter: {problems(error)}") from None
        now, there = self._looked_at(holder)
        if now.status == CLOSED:
            if change.to is Restriction.NONE and baseline.status != CLOSED:
                raise Refused("the account holder was closed meanwhile, which is final")
            return Applied(_state(now))
        wanted = baseline.restricted_to(change.to, now)
        gone = sorted({*wanted.sweeps, *wanted.schedules} - there)
        if self._write_all(list(self._writes(holder, now, wanted, change.to, gone)), key):
            now = self._read_back(holder)
        if gone:
            raise Refused(f"`{gone[0]}` was active before the restriction and does not exist any more")
        return Applied(_state(now))

    def _settings(self, holder: str) -> AccountSettings:
        return self._looked_at(holder)[0]

    def _looked_at(self, holder: str) -> tuple[AccountSettings, set[str]]:
        """Return the settings, and the sweeps and schedules that there are, working or not."""
        try:
            found = self._holder(holder)
            capabilities = found.child("capabilities")
            on = [
                name
                for name in MANAGED_CAPABILITIES
                if (each := capabilities.child(name)) and each.flag("enabled") is not False
            ]
            accounts = [in_path(each.needed_text("id")) for each in self._balance_accounts(holder)]
            sweeps = dict(each for account in accounts for each in self._sweeps(account))
            schedules = dict(each for account in accounts for each in self._schedules(account))
            settings = AccountSettings(
                status=found.text("status") or ACTIVE,
                capabilities=tuple(sorted(on)),
                sweeps=tuple(sorted(path for path, works in sweeps.items() if works)),
                schedules=tuple(sorted(path for path, works in schedules.items() if works)),
                rules=self._our_rules(holder, ACTIVE) if self._adds_rule else (),
            )
            return settings, {*sweeps, *schedules}
        except PayloadInvalid as error:
            raise Refused(f"the settings of the account holder cannot be read: {error}") from None
        except ValidationError as error:
            raise Refused(f"the settings of the account holder cannot be read: {problems(error)}") from None

    def _holder(self, holder: str) -> Node:
        holders = self._platform.account_holders_api
        found = reading(lambda: holders.get_account_holder(holder), "account holder")
        if found.needed_text("id") != holder:
            raise Refused("adyen answers with another account holder")
        return found

    def _balance_accounts(self, holder: str) -> Iterator[Node]:
        holders = self._platform.account_holders_api
        return pages(
            lambda asked: holders.get_all_balance_accounts_of_account_holder(holder, query_parameters=asked),
            "balanceAccounts",
            "balance accounts",
        )

    def _sweeps(self, account: str) -> Iterator[tuple[str, bool]]:
        """Yield each sweep, and whether it takes money out; Adyen takes what it is not told for pushing and active."""
        sweeps = self._platform.custom_payout_schedules_sweeps_api
        listed = pages(
            lambda asked: sweeps.get_all_sweeps_for_balance_account(account, query_parameters=asked), "sweeps", "sweeps"
        )
        for each in listed:
            pushes = (each.text("type") or "push") == "push"
            works = (each.text("status") or ACTIVE) == ACTIVE
            yield f"{account}/{in_path(each.needed_text('id'))}", pushes and works

    def _schedules(self, account: str) -> Iterator[tuple[str, bool]]:
        """Yield each payout schedule, and whether it is enabled."""
        if not self._reads_schedules:
            return
        schedules = self._platform.managed_payout_schedules_api
        listed = linked_pages(
            lambda asked: schedules.get_balance_account_managed_schedules(account, query_parameters=asked),
            "balanceAccountPayoutSchedules",
            "link",
            "payout schedules",
            {},
        )
        for each in listed:
            yield f"{account}/{in_path(each.needed_text('id'))}", each.flag("enabled") is not False

    def _our_rules(self, holder: str, status: str) -> tuple[str, ...]:
        holders = self._platform.account_holders_api
        listed = reading(lambda: holders.get_all_transaction_rules_for_account_holder(holder), "transaction rules")
        return tuple(
            sorted(
                in_path(each.needed_text("id"))
                for each in listed.children("transactionRules")
                if each.text("reference") == RULE_REFERENCE and (each.text("status") or ACTIVE) == status
            )
        )

    def _read_back(self, holder: str) -> AccountSettings:
        try:
            return self._settings(holder)
        except RetryLater as error:
            raise OutcomeUnknown(f"the change was sent but cannot be read back: {error}") from None

    def _writes(
        self, holder: str, now: AccountSettings, wanted: AccountSettings, to: Restriction, gone: list[str]
    ) -> Iterator[_Write]:
        """Say what to send: the account holder first, which alone stops every payout."""
        yield self._holder_write(holder, now, wanted)
        for path, on in switched(now.schedules, wanted.schedules):
            if path not in gone:
                yield self._schedule_write(path, on=on)
        for path, on in switched(now.sweeps, wanted.sweeps):
            if path not in gone:
                yield self._sweep_write(path, on=on)
        yield from self._rule_writes(holder, now, wanted, to)

    def _holder_write(self, holder: str, now: AccountSettings, wanted: AccountSettings) -> _Write:
        params: dict[str, Any] = {"status": wanted.status} if now.status != wanted.status else {}
        if capabilities := now.capabilities_to(wanted):
            params["capabilities"] = {name: {"enabled": on} for name, on in capabilities.items()}
        holders = self._platform.account_holders_api
        return _Write("account_holder", params, lambda given, _: holders.update_account_holder(given, holder))

    def _sweep_write(self, path: str, *, on: bool) -> _Write:
        account, _, sweep = path.partition("/")
        sweeps, ids = self._platform.custom_payout_schedules_sweeps_api, (in_path(account), in_path(sweep))
        params = {"status": ACTIVE if on else _INACTIVE}
        return _Write(f"sweep:{path}", params, lambda given, _: sweeps.update_sweep(given, *ids))

    def _schedule_write(self, path: str, *, on: bool) -> _Write:
        account, _, schedule = path.partition("/")
        schedules, ids = self._platform.managed_payout_schedules_api, (in_path(account), in_path(schedule))
        return _Write(
            f"schedule:{path}",
            {"enabled": on},
            lambda given, _: schedules.update_balance_account_managed_schedule(given, *ids),
        )

    def _rule_writes(
        self, holder: str, now: AccountSettings, wanted: AccountSettings, to: Restriction
    ) -> Iterator[_Write]:
        """Keep one rule of ours active under a restriction, and as it was before without one."""
        if not self._adds_rule:
            return
        rules = self._platform.transaction_rules_api
        if to is not Restriction.NONE:
            if now.rules:
                return
            switches = [(id_, True) for id_ in self._our_rules(holder, _INACTIVE)[:1]]
            if not switches:
                yield _Write("rule", _rule(holder), lambda given, k: rules.create_transaction_rule(given, k))
        else:
            switches = switched(now.rules, wanted.rules)
        for id_, on in switches:
            yield self._rule_switch(holder, id_, on=on)

    def _rule_switch(self, holder: str, id_: str, *, on: bool) -> _Write:
        rules = self._platform.transaction_rules_api
        params = {**_rule(holder), "status": ACTIVE if on else _INACTIVE}
        return _Write(f"rule:{id_}", params, lambda given, _: rules.update_transaction_rule(given, in_path(id_)))

    def _write_all(self, writes: list[_Write], key: str) -> bool:
        """Send them in turn and tell whether any was sent; one that is refused does not keep the others back."""
        refused: Refused | None = None
        sent = False
        for write in writes:
            if not write.params:
                continue
            try:
                self._write(write, key)
                sent = True
            except Refused as error:
                refused = refused or error
            except RetryLater as error:
                if sent:
                    raise OutcomeUnknown(f"only a part of the change was sent: {error}") from None
                raise
        if refused is not None:
            raise refused
        return sent

    def _write(self, write: _Write, key: str) -> None:
        check_fence(self._takes)
        try:
            write.send(write.params, request_key(key, write.step, write.params, 0))
        except Exception as error:  # the SDK lets errors of its transport through, and raises what it stumbles over
            raise meaning_of(error, writing=True) from None


def _rule(holder: str) -> dict[str, Any]:
    """Return the rule that blocks every transfer to a bank account or card of anybody's."""
    return {
        "description": "Transfers are on hold",
        "reference": RULE_REFERENCE,
        "entityKey": {"entityType": "accountHolder", "entityReference": holder},
        "interval": {"type": "perTransaction"},
        "requestType": "bankTransfer",
        "outcomeType": "hardBlock",
        "ruleRestrictions": {
            "counterpartyTypes": {"operation": "anyMatch", "value": ["bankAccount", "card", "transferInstrument"]}
        },
        "status": ACTIVE,
        "type": "blockList",
    }


def _state(settings: AccountSettings) -> GatewayState:
    return GatewayState(settings.restriction, settings.model_dump(mode="json"))
