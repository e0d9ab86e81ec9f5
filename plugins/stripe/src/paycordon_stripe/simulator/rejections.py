"""Reject an account and take it back: https://docs.stripe.com/api/account/reject."""

from __future__ import annotations

import copy

from paycordon_stripe.simulator.calls import Call
from paycordon_stripe.simulator.ledger import Json, Ledger
from paycordon_stripe.simulator.problems import Problem, bad

REASON_CODES_SINCE = "2026-09-30"
_REASONS = {
    "credit": "platform_other",
    "fraud_no_intent_to_fulfill": "platform_fraud",
    "fraud_other": "platform_fraud",
    "fraud_payment_method_casher": "platform_fraud",
    "fraud_payment_method_tester": "platform_fraud",
    "other": "platform_other",
    "terms_of_service": "platform_terms_of_service",
}
_OLD_REASONS = {"fraud": "fraud", "other": "other", "terms_of_service": "terms_of_service"}


def reject(call: Call) -> Json:
    """Reject an account: it takes no payments any more, and is not paid out unless `payouts_action` is `none`."""
    ledger, id_ = call.ledger, call.id
    account = ledger.account(id_)
    reasons = _REASONS if call.version >= REASON_CODES_SINCE else _OLD_REASONS
    if call.params["reason"] not in reasons:
        raise bad("reason", f"Invalid reason: must be one of {', '.join(reasons)}")
    if account["controller"]["losses"]["payments"] != "application":
        raise Problem(400, "Only accounts where your platform is liable for negative balances can be rejected.")
    pause = call.params.get("payouts_action", "pause") == "pause"
    before = {name: account[name] for name in ("payouts_enabled", "charges_enabled")}
    ledger.rejected.setdefault(id_, before | {"disabled_reason": account["requirements"]["disabled_reason"]})
    _set_reason(ledger, id_, f"rejected.{reasons[call.params['reason']]}", account["payouts_enabled"] and not pause)
    return ledger.account(id_)


def unreject(call: Call) -> Json:
    """Take a rejection of the platform's own back; what else restricted the account still does."""
    ledger, id_ = call.ledger, call.id
    reason = ledger.account(id_)["requirements"]["disabled_reason"] or ""
    before = ledger.rejected.pop(id_, None)
    if before is None or not reason.startswith("rejected."):
        raise Problem(400, "This account was not rejected by your platform, so it cannot be unrejected.")
    _set_reason(ledger, id_, before["disabled_reason"], before["payouts_enabled"])
    return ledger.account(id_)


def reject_as_stripe(ledger: Ledger, id_: str, reason: str) -> None:
    """Reject an account as Stripe itself does, which the platform cannot take back.

    Raises:
        Problem: there is no such account.
    """
    ledger.account(id_)
    ledger.rejected.pop(id_, None)
    _set_reason(ledger, id_, f"rejected.{reason}", payouts_enabled=False)


def _set_reason(ledger: Ledger, id_: str, reason: str | None, payouts_enabled: bool) -> None:
    after = copy.deepcopy(ledger.account(id_))
    after["requirements"]["disabled_reason"] = reason
    after["payouts_enabled"] = payouts_enabled
    ledger.replace_account(after)
    for name, held in list(ledger.capabilities[id_].items()):
        held["requirements"]["disabled_reason"] = reason
        ledger.request_capability(id_, name, held["requested"])
