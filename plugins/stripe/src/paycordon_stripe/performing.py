"""Do what a person decided, at Stripe: see `paycordon.adapting.acting`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import stripe

from paycordon.adapting.acting import Plan, carry_out, counted
from paycordon.adapting.writing import request_key
from paycordon.errors import Refused, RetryLater
from paycordon.events import Subject
from paycordon.gateways import ActParameters, Performed, check_fence
from paycordon_stripe import peoples_acts as said
from paycordon_stripe.acts import MAX_REPLAYS, account_id, node_of
from paycordon_stripe.errors import is_replay, meaning_of, reading
from paycordon_stripe.shapes import Node

_Send = Callable[[dict[str, Any], stripe.RequestOptions], object]
_Plan = Plan[_Send]


class Performer:
    """What people have done at Stripe.

    Args:
        client: must not retry by itself.
        takes: for how long an answer to one request is waited for.
    """

    def __init__(self, client: stripe.StripeClient, takes: timedelta) -> None:
        self._v1 = client.v1
        self._takes = takes
        self._plans: dict[str, Callable[[str, Any], _Plan]] = {
            "reject": self._reject,
            "unreject": self._unreject,
            "cancel_payout": self._cancel_payout,
            "reverse_payout": self._reverse_payout,
            "reverse_transfer": self._reverse_transfer,
            "refund_charge": self._refund_charge,
            "switch_off_capability": lambda account, given: self._capability(account, given, wanted=False),
            "switch_on_capability": lambda account, given: self._capability(account, given, wanted=True),
            "set_delay_days": self._set_delay_days,
            "choose_external_account": self._choose_external_account,
            "remove_external_account": self._remove_external_account,
            "draft_evidence": self._draft_evidence,
        }

    def perform(self, subject: Subject, act: str, parameters: ActParameters, key: str) -> Performed:
        """Do an act; see `paycordon.gateways.Gateway.perform`."""
        account = account_id(subject)
        make = self._plans.get(act)
        if make is None or not isinstance(parameters, said.ACTS[act].parameters):
            raise Refused(f"stripe has no act `{act}` with such parameters")
        return carry_out("stripe", act, make(account, parameters), lambda plan: self._send(plan, act, key))

    def _send(self, plan: _Plan, act: str, key: str) -> None:
        """Send the request; an error that Stripe only repeats answers an earlier try, and did not do it."""
        for attempt in range(MAX_REPLAYS):
            check_fence(self._takes)
            try:
                plan.send(plan.params, {"idempotency_key": request_key(key, act, plan.params, attempt)})
            except Exception as error:  # the SDK also raises what its parser stumbles over
                if not is_replay(error):
                    raise meaning_of(error, writing=True) from None
            else:
                return
        raise RetryLater("stripe repeats stored errors for every key of this act")

    def _read(self, what: str, call: Callable[[], Any]) -> Node:
        return node_of(reading(call), what)

    def _rejection(self, account: str) -> str:
        found = self._read("account", lambda: self._v1.accounts.retrieve(account))
        return found.child("requirements").text("disabled_reason") or "none"

    def _reject(self, account: str, given: said.Reject) -> _Plan:
        def send(params: dict[str, Any], options: stripe.RequestOptions) -> object:
            return self._v1.accounts.reject(account, params, options)  # type: ignore[arg-type]  # a dict

        params = {"reason": given.reason, "payouts_action": given.payouts_action}
        return Plan(account, lambda: self._rejection(account), _is_rejected, params, send)

    def _unreject(self, account: str, _: said.Nothing) -> _Plan:
        def send(_: dict[str, Any], options: stripe.RequestOptions) -> object:
            return self._v1.accounts.unreject(account, {}, options)

        return Plan(account, lambda: self._rejection(account), lambda state: not _is_rejected(state), {}, send)

    def _cancel_payout(self, account: str, given: said.OnePayout) -> _Plan:
        def state() -> str:
            found = self._read("payout", lambda: self._v1.payouts.retrieve(given.payout, {}, _at(account)))
            return found.needed_text("status")

        def send(_: dict[str, Any], options: stripe.RequestOptions) -> object:
            return self._v1.payouts.cancel(given.payout, {}, {**options, **_at(account)})

        return Plan(given.payout, state, lambda found: found == "canceled", {}, send)

    def _reverse_payout(self, account: str, given: said.OnePayout) -> _Plan:
        def state() -> str:
            found = self._read("payout", lambda: self._v1.payouts.retrieve(given.payout, {}, _at(account)))
            back = found.reference("reversed_by")
            return f"reversed by {back}" if back else found.needed_text("status")

        def send(_: dict[str, Any], options: stripe.RequestOptions) -> object:
            return self._v1.payouts.reverse(given.payout, {}, {**options, **_at(account)})

        return Plan(given.payout, state, lambda found: found.startswith("reversed"), {}, send)

    def _reverse_transfer(self, account: str, given: said.ReverseTransfer) -> _Plan:
        def state() -> str:
            found = self._read("transfer", lambda: self._v1.transfers.retrieve(given.transfer))
            if found.reference("destination") != account:
                raise Refused("the transfer did not go to this account")
            return str(found.needed_integer("amount_reversed"))

        def send(params: dict[str, Any], options: stripe.RequestOptions) -> object:
            return self._v1.transfers.reversals.create(given.transfer, params, options)  # type: ignore[arg-type]  # a dict

        params = {"amount": given.amount, "refund_application_fee": given.refund_application_fee}
        return counted(given.transfer, state, given.reversed_before, params, send)

    def _refund_charge(self, account: str, given: said.RefundCharge) -> _Plan:
        def state() -> str:
            found = self._read("charge", lambda: self._v1.charges.retrieve(given.charge, {}, _at(account)))
            return str(found.needed_integer("amount_refunded"))

        def send(params: dict[str, Any], options: stripe.RequestOptions) -> object:
            return self._v1.refunds.create(params, {**options, **_at(account)})  # type: ignore[arg-type]  # a dict

        reason = {"reason": "fraudulent"} if given.fraudulent else {}
        params = {"charge": given.charge, "amount": given.amount, **reason}
        return counted(given.charge, state, given.refunded_before, params, send)

    def _capability(self, account: str, given: said.Capability, *, wanted: bool) -> _Plan:
        capabilities = self._v1.accounts.capabilities

        def state() -> str:
            found = self._read("capability", lambda: capabilities.retrieve(account, given.capability))
            return "requested" if found.flag("requested") else "not requested"

        def send(params: dict[str, Any], options: stripe.RequestOptions) -> object:
            return capabilities.update(account, given.capability, params, options)  # type: ignore[arg-type]  # a dict

        wish = "requested" if wanted else "not requested"
        return Plan(given.capability, state, lambda found: found == wish, {"requested": wanted}, send)

    def _set_delay_days(self, account: str, given: said.Delay) -> _Plan:
        def state() -> str:
            found = self._read("account", lambda: self._v1.accounts.retrieve(account))
            schedule = found.child("settings").child("payouts").child("schedule")
            return str(schedule.needed_integer("delay_days"))

        def send(params: dict[str, Any], options: stripe.RequestOptions) -> object:
            return self._v1.accounts.update(account, params, options)  # type: ignore[arg-type]  # a dict

        params = {"settings": {"payouts": {"schedule": {"delay_days": given.days}}}}
        return Plan(account, state, lambda found: found == str(given.days), params, send)

    def _choose_external_account(self, account: str, given: said.OneExternalAccount) -> _Plan:
        accounts, id_ = self._v1.accounts.external_accounts, given.external_account

        def state() -> str:
            found = self._read("external account", lambda: accounts.retrieve(account, id_))
            return "default" if found.flag("default_for_currency") else "not the default"

        def send(params: dict[str, Any], options: stripe.RequestOptions) -> object:
            return accounts.update(account, id_, params, options)  # type: ignore[arg-type]  # a dict

        return Plan(id_, state, lambda found: found == "default", {"default_for_currency": True}, send)

    def _remove_external_account(self, account: str, given: said.OneExternalAccount) -> _Plan:
        accounts, id_ = self._v1.accounts.external_accounts, given.external_account

        def state() -> str:
            # Stripe answers 404 for an account of another platform as well, so the list is asked instead.
            listed = reading(lambda: accounts.list(account, {"limit": 100}))
            found = node_of({"list": listed.to_dict()}, "external accounts").items("list")
            return "there" if id_ in [each.text("id") for each in found] else "gone"

        def send(_: dict[str, Any], options: stripe.RequestOptions) -> object:
            return accounts.delete(account, id_, {}, options)

        return Plan(id_, state, lambda found: found == "gone", {}, send)

    def _draft_evidence(self, account: str, given: said.Evidence) -> _Plan:
        fields = {"uncategorized_text": given.text, "product_description": given.product_description}
        evidence = {name: text for name, text in fields.items() if text is not None}

        def state() -> str:
            found = self._read("dispute", lambda: self._v1.disputes.retrieve(given.dispute, {}, _at(account)))
            written = found.child("evidence")
            same = all(written.text(name) == text for name, text in evidence.items())
            return "written down" if same else found.needed_text("status")

        def send(params: dict[str, Any], options: stripe.RequestOptions) -> object:
            return self._v1.disputes.update(given.dispute, params, {**options, **_at(account)})  # type: ignore[arg-type]  # a dict

        # Without `submit` Stripe hands the evidence in, which can be done once only.
        params = {"evidence": evidence, "submit": False}
        return Plan(given.dispute, state, lambda found: found == "written down", params, send)


def _at(account: str) -> stripe.RequestOptions:
    return {"stripe_account": account}


def _is_rejected(state: str) -> bool:
    return state.startswith("rejected.")
