"""Do what a person decided, at Adyen: see `paycordon.adapting.acting`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import Adyen

from paycordon.adapting.acting import Plan, carry_out
from paycordon.adapting.fields import Node
from paycordon.adapting.writing import request_key
from paycordon.errors import Refused
from paycordon.events import Subject
from paycordon.gateways import ActParameters, Performed, check_fence
from paycordon_adyen import peoples_acts as said
from paycordon_adyen.errors import meaning_of, reading
from paycordon_adyen.ids import account_holder_id, in_path
from paycordon_adyen.listing import transfers_of
from paycordon_adyen.restrictions import ACTIVE, CLOSED, SUSPENDED
from paycordon_adyen.transfers import WAITS_FOR_APPROVAL

_Send = Callable[[dict[str, Any], str], object]
_Plan = Plan[_Send]

_CANCELLED = "cancelled"
_CAME_TO_NOTHING = (
    _CANCELLED,
    "refused",
    "rejected",
    "failed",
    "error",
    "expired",
    "returned",
    "reversed",
    "undefined",
)
_WENT_BACK = ("returned", "reversed", "refunded")


class Performer:
    """What people have done at Adyen.

    Args:
        platform: the SDK with the key of the balance platform; must not retry by itself.
        entities: with the key of the Legal Entity Management API, if there is one.
        disputes: with the key of the company account, if there is one.
        clock: says what time it is, UTC.
        takes: for how long an answer to one request is waited for.
    """

    def __init__(
        self,
        platform: Adyen.Adyen,
        entities: Adyen.Adyen | None,
        disputes: Adyen.Adyen | None,
        clock: Callable[[], datetime],
        takes: timedelta,
    ) -> None:
        self._platform = platform.balancePlatform
        self._transfers = platform.transfers.transfers_api
        self._entities = entities.legalEntityManagement if entities else None
        self._disputes = disputes.disputes.disputes_api if disputes else None
        self._clock = clock
        self._takes = takes
        self._plans: Mapping[str, Callable[[str, Any], _Plan]] = {
            "approve_transfer": self._approve,
            "cancel_transfer": self._cancel,
            "return_transfer": self._return,
            "suspend_account_holder": lambda holder, _: self._status(holder, SUSPENDED),
            "activate_account_holder": lambda holder, _: self._status(holder, ACTIVE),
            "close_account_holder": lambda holder, _: self._status(holder, CLOSED),
            "switch_off_capability": lambda holder, given: self._capability(holder, given, wanted=False),
            "switch_on_capability": lambda holder, given: self._capability(holder, given, wanted=True),
            "set_transfer_limit": self._limit,
            "remove_transfer_instrument": self._remove_instrument,
            "supply_defense_document": self._supply,
            "withdraw_defense_document": self._withdraw,
        }

    def perform(self, subject: Subject, act: str, parameters: ActParameters, key: str) -> Performed:
        """Do an act; see `paycordon.gateways.Gateway.perform`."""
        holder = account_holder_id(subject)
        make = self._plans.get(act)
        if make is None or not isinstance(parameters, said.ACTS[act].parameters):
            raise Refused(f"adyen has no act `{act}` with such parameters")
        return carry_out("adyen", act, make(holder, parameters), lambda plan: self._send(plan, act, key))

    def _send(self, plan: _Plan, act: str, key: str) -> None:
        check_fence(self._takes)
        try:
            plan.send(plan.params, request_key(key, act, plan.params, 0))
        except Exception as error:  # the SDK lets errors of its transport through, and raises what it stumbles over
            raise meaning_of(error, writing=True) from None

    def _holder(self, holder: str) -> Node:
        holders = self._platform.account_holders_api
        return reading(lambda: holders.get_account_holder(holder), "account holder")

    def _transfer(self, holder: str, id_: str) -> Node:
        found = reading(lambda: self._transfers.get_transfer(in_path(id_)), "transfer")
        if found.child("accountHolder").text("id") != holder:
            raise Refused("the transfer is not of this account holder")
        return found

    def _transfer_status(self, holder: str, id_: str) -> Callable[[], str]:
        return lambda: self._transfer(holder, id_).needed_text("status")

    def _approve(self, holder: str, given: said.OneTransfer) -> _Plan:
        return Plan(
            given.transfer,
            self._transfer_status(holder, given.transfer),
            lambda found: found not in (*WAITS_FOR_APPROVAL, *_CAME_TO_NOTHING),
            {"transferIds": [given.transfer]},
            self._transfers.approve_initiated_transfers,
            lambda found: found in WAITS_FOR_APPROVAL,
        )

    def _cancel(self, holder: str, given: said.OneTransfer) -> _Plan:
        return Plan(
            given.transfer,
            self._transfer_status(holder, given.transfer),
            lambda found: found == _CANCELLED,
            {"transferIds": [given.transfer]},
            self._transfers.cancel_initiated_transfers,
            lambda found: found in WAITS_FOR_APPROVAL,
        )

    def _return(self, holder: str, given: said.OneTransfer) -> _Plan:
        found = self._transfer(holder, given.transfer)
        if found.text("direction") != "incoming":
            raise Refused("only a transfer that came in can be returned")
        made_at = found.moment("createdAt") or found.moment("creationDate")
        if made_at is None:
            raise Refused("the transfer does not say when it was made, so that what returned it cannot be found")
        # What goes back is a transfer of its own, which is known again by its reference.
        reference = f"returned-{given.transfer}"[:80]

        def state() -> str:
            back = transfers_of(
                self._transfers,
                {"accountHolderId": holder, "reference": reference},
                made_at,
                self._clock() + timedelta(days=1),
            )
            return next((f"sent back by {each.needed_text('id')}" for each in back), "not sent back")

        def send(params: dict[str, Any], key: str) -> object:
            return self._transfers.return_transfer(params, in_path(given.transfer), key)

        params = {"amount": dict(found.child("amount").fields()), "reference": reference}
        return Plan(given.transfer, state, lambda shown: shown.startswith("sent back"), params, send)

    def _status(self, holder: str, wanted: str) -> _Plan:
        holders = self._platform.account_holders_api
        return Plan(
            holder,
            lambda: self._holder(holder).text("status") or ACTIVE,
            lambda found: found == wanted,
            {"status": wanted},
            lambda params, _: holders.update_account_holder(params, holder),
            lambda found: found != CLOSED,
        )

    def _capability(self, holder: str, given: said.Capability, *, wanted: bool) -> _Plan:
        holders = self._platform.account_holders_api

        def state() -> str:
            found = self._holder(holder).child("capabilities").child(given.capability)
            if not found:
                raise Refused(f"the account holder has no capability `{given.capability}`")
            return "disabled" if found.flag("enabled") is False else "enabled"

        wish = "enabled" if wanted else "disabled"
        params = {"capabilities": {given.capability: {"enabled": wanted}}}
        return Plan(
            given.capability,
            state,
            lambda found: found == wish,
            params,
            lambda asked, _: holders.update_account_holder(asked, holder),
        )

    def _limit(self, holder: str, given: said.TransferLimit) -> _Plan:
        limits, account = self._platform.transfer_limits_balance_account_level_api, given.balance_account
        accounts = self._platform.balance_accounts_api
        found = reading(lambda: accounts.get_balance_account(account), "balance account")
        if found.text("accountHolderId") != holder:
            raise Refused("the balance account is not of this account holder")
        query = {"scope": given.scope, "transferType": given.transfer_type}

        def state() -> str:
            listed = reading(lambda: limits.get_transfer_limits(account, query_parameters=query), "transfer limits")
            said_of = [
                f"{each.child('amount').text('currency')} {each.child('amount').integer('value')}"
                for each in listed.children("transferLimits")
                if each.text("limitStatus") in ("active", "pendingSCA", "scheduled")
            ]
            return said_of[-1] if said_of else "no limit"

        params = {
            "amount": {"currency": given.currency, "value": given.amount},
            "scope": given.scope,
            "transferType": given.transfer_type,
        }
        wish = f"{given.currency} {given.amount}"
        return Plan(
            account,
            state,
            lambda shown: shown == wish,
            params,
            lambda asked, key: limits.create_transfer_limit(asked, account, key),
        )

    def _remove_instrument(self, holder: str, given: said.OneTransferInstrument) -> _Plan:
        if self._entities is None:
            raise Refused("there is no key for legal entities: set `legal_entity_api_key`")
        entities, instruments = self._entities.legal_entities_api, self._entities.transfer_instruments_api
        entity = in_path(self._holder(holder).needed_text("legalEntityId"))

        def state() -> str:
            found = reading(lambda: entities.get_legal_entity(entity), "legal entity")
            ids = [each.text("id") for each in found.children("transferInstruments")]
            return "there" if given.transfer_instrument in ids else "gone"

        def send(_: dict[str, Any], key: str) -> object:  # noqa: ARG001  # a DELETE takes no key
            return instruments.delete_transfer_instrument(in_path(given.transfer_instrument))

        return Plan(given.transfer_instrument, state, lambda found: found == "gone", {}, send)

    def _supply(self, _: str, given: said.DefenseDocument) -> _Plan:
        document = {
            "defenseDocumentTypeCode": given.document_type,
            "contentType": given.content_type,
            "content": given.content,
        }
        params = {**_dispute(given), "defenseDocuments": [document]}
        send = self._disputes_api().supply_defense_document
        return Plan(given.dispute, self._document_state(given), lambda found: found == "supplied", params, send)

    def _withdraw(self, _: str, given: said.WithdrawnDocument) -> _Plan:
        params = {**_dispute(given), "defenseDocumentType": given.document_type}
        send = self._disputes_api().delete_dispute_defense_document
        return Plan(given.dispute, self._document_state(given), lambda found: found == "not supplied", params, send)

    def _document_state(self, given: said.DefenseDocument | said.WithdrawnDocument) -> Callable[[], str]:
        disputes = self._disputes_api()

        def state() -> str:
            asked = _dispute(given)
            found = reading(lambda: disputes.retrieve_applicable_defense_reasons(asked), "defence reasons")
            documents = [
                each for reason in found.children("defenseReasons") for each in reason.children("defenseDocumentTypes")
            ]
            named = [each for each in documents if each.text("defenseDocumentTypeCode") == given.document_type]
            if not named:
                raise Refused(f"the dispute's defence takes no document of type `{given.document_type}`")
            return "supplied" if any(each.flag("available") for each in named) else "not supplied"

        return state

    def _disputes_api(self) -> Any:
        if self._disputes is None:
            raise Refused("there is no key for disputes: set `disputes_api_key`")
        return self._disputes


def _dispute(given: said.DefenseDocument | said.WithdrawnDocument) -> dict[str, str]:
    return {"disputePspReference": given.dispute, "merchantAccountCode": given.merchant_account}
