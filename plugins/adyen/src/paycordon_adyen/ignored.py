"""What Adyen documents and this adapter leaves out on purpose, with the reason for each."""

from __future__ import annotations

from collections.abc import Mapping

_P = "balancePlatform"
_ISSUING = "about cards that the platform issues, not about what merchants take in or are paid out"
_REPEATS = "repeats what the transfer's own webhooks have said"
_OF_PLATFORM = "about the platform itself, not about a merchant"
_STEP = "a step within a payment that moves no money by itself"
_PAYER = "about a payer's stored payment details"
_UNDONE = "says that a payout or refund came back; the transfer's own webhook says so of the balance account"
_CLASSIC_PAYOUT = "a payout of the classic Payout API, which pays shoppers; platforms pay out by transfers"
_TERMINAL = "about payment methods and terminals, not about money"

IGNORED: Mapping[str, str] = {
    f"{_P}.balanceAccount.balance.updated": "a balance that moved; what moved it has its own webhook",
    f"{_P}.balanceAccount.balance.block.released": "money that Adyen had set aside is free again",
    f"{_P}.balanceAccountPayoutScheduleAutoApplication.failed": _OF_PLATFORM,
    f"{_P}.balanceAccountPayoutScheduleExecution.failed": "nothing was paid out; a payout that began is a transfer",
    f"{_P}.balanceAccountPayoutScheduleExecution.skipped": "nothing was paid out",
    f"{_P}.balanceAccountPayoutScheduleExecution.succeeded": "the payout is a transfer, with webhooks of its own",
    f"{_P}.balancePlatformPayoutSchedule.created": _OF_PLATFORM,
    f"{_P}.balancePlatformPayoutSchedule.deleted": _OF_PLATFORM,
    f"{_P}.balancePlatformPayoutSchedule.updated": _OF_PLATFORM,
    f"{_P}.cardorder.created": _ISSUING,
    f"{_P}.cardorder.updated": _ISSUING,
    f"{_P}.mandate.created": _ISSUING,
    f"{_P}.mandate.updated": _ISSUING,
    f"{_P}.networkToken.created": _ISSUING,
    f"{_P}.networkToken.updated": _ISSUING,
    f"{_P}.paymentInstrument.created": _ISSUING,
    f"{_P}.paymentInstrument.updated": _ISSUING,
    f"{_P}.dispute.created": "raised by the holder of a card that the platform issued, not against a merchant",
    f"{_P}.dispute.updated": "raised by the holder of a card that the platform issued, not against a merchant",
    f"{_P}.report.created": _OF_PLATFORM,
    f"{_P}.transaction.created": _REPEATS,
    "paymentMethod.created": _TERMINAL,
    "paymentMethodRequest.removed": _TERMINAL,
    "paymentMethodRequest.scheduledForRemoval": _TERMINAL,
    "terminalAssignment.completed": _TERMINAL,
    "terminalBoarding.triggered": _TERMINAL,
    "terminalSettings.modified": _TERMINAL,
    "ach.notificationOfChange": _PAYER,
    "ACH_NOTIFICATION_OF_CHANGE": _PAYER,
    "DIRECT_DEBIT_NOTICE_OF_CHANGE_NOTIFICATION": _PAYER,
    "RECURRING_CONTRACT": _PAYER,
    "AUTHORISATION_ADJUSTMENT": _STEP,
    "AUTORESCUE": _STEP,
    "CANCELLATION": "a payment that was given up before money moved",
    "CANCEL_AUTORESCUE": _STEP,
    "CANCEL_OR_REFUND": "says only that one of the two was done; a refund is a transfer, with webhooks of its own",
    "CAPTURE": "the second half of a payment that was counted when it was authorised, or by its transfer",
    "CAPTURE_FAILED": "no money came in; transfers count captures only once they are booked",
    "EXPIRE": _STEP,
    "OFFER_CLOSED": _STEP,
    "ORDER_CLOSED": _STEP,
    "ORDER_OPENED": _STEP,
    "PAIDOUT_REVERSED": _UNDONE,
    "PAYOUT_DECLINE": _CLASSIC_PAYOUT,
    "PAYOUT_EXPIRE": _CLASSIC_PAYOUT,
    "PAYOUT_THIRDPARTY": _CLASSIC_PAYOUT,
    "POSTPONED_REFUND": "a refund that waits for its capture; when it is made it is a transfer",
    "REFUND_WITH_DATA": "a payout to a shopper's card that is called a refund; it is a transfer",
    "REPORT_AVAILABLE": _OF_PLATFORM,
    "TECHNICAL_CANCEL": _STEP,
    "VOID_PENDING_REFUND": "a refund that was given up before money moved",
}
"""By type or event code. What is in neither list is new since the vendor's descriptions of July 2026."""
