"""Disputes: what the Disputes API says and takes, what becomes of them, and what is told."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta
from functools import partial

from paycordon_adyen.simulator.calls import Call
from paycordon_adyen.simulator.ledger import Json, Ledger
from paycordon_adyen.simulator.payments import about, move
from paycordon_adyen.simulator.problems import Problem

DEFENCE_PERIOD = timedelta(days=18)
"""How long a dispute can be defended; the schemes' periods differ, this is about the shortest."""

OPENING = ("NOTIFICATION_OF_CHARGEBACK", "REQUEST_FOR_INFORMATION", "CHARGEBACK")
GOING_ON = (
    "CHARGEBACK",
    "CHARGEBACK_REVERSED",
    "SECOND_CHARGEBACK",
    "INFORMATION_SUPPLIED",
    "ISSUER_COMMENTS",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED",
    "PREARBITRATION_OPEN",
    "PREARBITRATION_WON",
    "PREARBITRATION_LOST",
    "PREARBITRATION_ACCEPTED",
    "PREARBITRATION_DECLINED",
    "PREARBITRATION_ISSUER_WITHDRAWN",
    "SCHEME_ARBITRATION",
    "SCHEME_ARBITRATION_WON",
    "SCHEME_ARBITRATION_LOST",
    "DISPUTE_DEFENSE_PERIOD_ENDED",
)
_MOVES = {
    "CHARGEBACK": "chargeback",
    "CHARGEBACK_REVERSED": "chargebackReversal",
    "SECOND_CHARGEBACK": "secondChargeback",
}
_STATUS = {
    "CHARGEBACK_REVERSED": "Pending",
    "SECOND_CHARGEBACK": "Lost",
    "PREARBITRATION_WON": "Won",
    "PREARBITRATION_LOST": "Lost",
    "SCHEME_ARBITRATION_WON": "Won",
    "SCHEME_ARBITRATION_LOST": "Lost",
}
_DOCUMENTS = {  # by the code of the defence, what supports it
    "GoodsWereAsDescribed": ("DefenseMaterial", "GoodsWereAsDescribed"),
    "SupplyDefenseMaterial": ("DefenseMaterial",),
}
_TYPES = ("application/pdf", "image/jpeg", "image/tiff")


def open_(
    ledger: Ledger,
    payment: Json,
    code: str = "CHARGEBACK",
    *,
    reason: str = "Goods not received",
    network: str = "13.1",
) -> Json:
    """Let a payer dispute a payment.

    Args:
        ledger: the state.
        payment: what is disputed.
        code: how it begins, one of `OPENING`.
        reason: in words.
        network: the card scheme's code of the reason.

    Raises:
        Problem: a dispute does not begin like that.
    """
    if code not in OPENING:
        raise Problem(422, f"a dispute begins with one of {', '.join(OPENING)}")
    dispute: Json = {
        "id": ledger.new_reference(),
        "payment": payment["id"],
        "amount": dict(payment["amount"]),
        "reason": reason,
        "network": network,
        "status": "Unresponded",
        "due": ledger.stamp(ledger.clock() + DEFENCE_PERIOD),
        "documents": {},
        "defended": False,
    }
    ledger.put("disputes", dispute)
    go_on(ledger, dispute, code)
    ledger.timeline.at(ledger.clock() + DEFENCE_PERIOD, partial(_period_ended, ledger, dispute))
    return dispute


def go_on(ledger: Ledger, dispute: Json, code: str) -> None:
    """Let something happen to a dispute: move its money if it does, and tell of it.

    Raises:
        Problem: nothing of that name happens to disputes.
    """
    if code not in (*OPENING, *GOING_ON):
        raise Problem(422, f"`{code}` does not happen to disputes")
    payment = ledger.find("payments", dispute["payment"])
    dispute["status"] = _STATUS.get(code, dispute["status"])
    value = dispute["amount"]["value"]
    item = about(payment, code, value, dispute["id"], dispute["reason"], _additional(dispute, payment))
    ledger.notify(item, payment["holder"])
    if code in _MOVES:
        move(ledger, payment, _MOVES[code], value, dispute["id"])


def report_fraud(ledger: Ledger, payment: Json, reason: str = "Card reported as stolen") -> str:
    """Tell of a fraud report of a card scheme (TC40, SAFE), which moves no money, and return its reference."""
    reference = ledger.new_reference()
    additional = {"nofReasonCode": "6", "nofSchemeCode": payment["method"]}
    item = about(payment, "NOTIFICATION_OF_FRAUD", payment["amount"]["value"], reference, reason, additional)
    ledger.notify(item, payment["holder"])
    return reference


def reasons(call: Call) -> Json:
    """Return with which reasons a dispute can be defended, and what each needs."""
    dispute = _found(call)
    if dispute is None or not _is_open(call.ledger, dispute):
        return _result("This dispute cannot be defended.")
    shown = [
        {
            "defenseReasonCode": code,
            "satisfied": all(name in dispute["documents"] for name in names),
            "defenseDocumentTypes": [_document(dispute, name) for name in names],
        }
        for code, names in _DOCUMENTS.items()
    ]
    return {**_result(), "defenseReasons": shown}


def supply(call: Call) -> Json:
    """Keep documents for a defence; nothing is sent to the payer's bank yet."""
    dispute = _found(call)
    if dispute is None or not _is_open(call.ledger, dispute):
        return _result("This dispute cannot be defended.")
    known = {name for names in _DOCUMENTS.values() for name in names}
    for document in call.body["defenseDocuments"]:
        if document["defenseDocumentTypeCode"] not in known:
            return _result("Unknown defence document type.")
        if document["contentType"] not in _TYPES or not _is_base64(document["content"]):
            return _result("The document cannot be read.")
    for document in call.body["defenseDocuments"]:
        dispute["documents"][document["defenseDocumentTypeCode"]] = document["contentType"]
    return _result()


def delete_document(call: Call) -> Json:
    """Delete a document again."""
    dispute = _found(call)
    if dispute is None or dispute["documents"].pop(call.body["defenseDocumentType"], None) is None:
        return _result("There is no such document.")
    return _result()


def defend(call: Call) -> Json:
    """Send a defence to the payer's bank; after that there is nothing to add."""
    dispute = _found(call)
    names = _DOCUMENTS.get(call.body["defenseReasonCode"])
    if dispute is None or names is None or not _is_open(call.ledger, dispute):
        return _result("This dispute cannot be defended.")
    if not all(name in dispute["documents"] for name in names):
        return _result("Documents are missing.")
    dispute |= {"defended": True, "status": "Responded"}
    call.ledger.timeline.at(call.ledger.clock(), partial(go_on, call.ledger, dispute, "INFORMATION_SUPPLIED"))
    return _result()


def accept(call: Call) -> Json:
    """Accept a dispute, which is final."""
    dispute = _found(call)
    if dispute is None or not _is_open(call.ledger, dispute):
        return _result("This dispute cannot be accepted.")
    dispute["status"] = "Accepted"
    return _result()


def _found(call: Call) -> Json | None:
    dispute = call.ledger.shelf("disputes").get(call.body["disputePspReference"])
    merchant = call.ledger.find("payments", dispute["payment"])["merchant"] if dispute else call.ledger.merchant
    if call.body["merchantAccountCode"] != merchant:
        raise Problem(403, "Not the right permission to access this service.", code="010")
    return dispute


def _is_open(ledger: Ledger, dispute: Json) -> bool:
    return dispute["status"] == "Unresponded" and ledger.clock() < datetime.fromisoformat(dispute["due"])


def _result(error: str = "") -> Json:
    return {"disputeServiceResult": {"success": False, "errorMessage": error} if error else {"success": True}}


def _document(dispute: Json, name: str) -> Json:
    return {
        "defenseDocumentTypeCode": name,
        "requirementLevel": "Required",
        "available": name in dispute["documents"],
    }


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        return False


def _additional(dispute: Json, payment: Json) -> Json:
    return {
        "chargebackReasonCode": dispute["network"],
        "chargebackSchemeCode": payment["method"],
        "defendable": "true" if dispute["status"] == "Unresponded" else "false",
        "defensePeriodEndsAt": dispute["due"],
        "disputeStatus": dispute["status"],
    }


def _period_ended(ledger: Ledger, dispute: Json) -> None:
    if dispute["status"] == "Unresponded":
        dispute["status"] = "Expired"
        go_on(ledger, dispute, "DISPUTE_DEFENSE_PERIOD_ENDED")
