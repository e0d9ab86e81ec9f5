"""What people may have done at Adyen beyond restrictions: the list, and what has to be said for each.

Nothing here is automatic. Accepting a dispute and submitting its defence are not in it at all: neither can be undone,
and Adyen's own Customer Area is the place for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from paycordon.gateways import Act, ActParameters, Grade, Support

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
BalanceAccountId = Annotated[str, StringConstraints(pattern=r"^BA[A-Z0-9]{8,60}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]


class Nothing(ActParameters):
    """The account holder says it all."""


class OneTransfer(ActParameters):
    """Attributes: `transfer` is its id."""

    transfer: Id


class Capability(ActParameters):
    """Attributes: `capability` is Adyen's name, as `receivePayments`."""

    capability: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,100}$")]


class TransferLimit(ActParameters):
    """Attributes: `amount` in Adyen's minor units of `currency` is the most that one transfer, or a day's, may be."""

    balance_account: BalanceAccountId
    amount: Annotated[int, Field(ge=0)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    scope: Literal["perTransaction", "perDay"] = "perDay"
    transfer_type: Literal["all", "instant"] = "all"


class OneTransferInstrument(ActParameters):
    """Attributes: `transfer_instrument` is the id of a bank account (`SE…`)."""

    transfer_instrument: Id


class DefenseDocument(ActParameters):
    """Attributes: the dispute and its merchant account, what kind of document, and the document itself in base64."""

    dispute: Id
    merchant_account: Code
    document_type: Code
    content_type: Literal["application/pdf", "image/jpeg", "image/tiff"] = "application/pdf"
    content: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=15_000_000)]


class WithdrawnDocument(ActParameters):
    """Attributes: the dispute and its merchant account, and what kind of document is taken back."""

    dispute: Id
    merchant_account: Code
    document_type: Code


ACTS: Mapping[str, Act] = {
    "approve_transfer": Act(
        Support(
            Grade.FULL,
            how="a transfer that waits for approval is approved, and goes out",
            reversible=False,
            limits="the API credential needs the role to approve transfers; after 30 days there is nothing to approve",
        ),
        OneTransfer,
    ),
    "cancel_transfer": Act(
        Support(
            Grade.PARTIAL,
            how="a transfer that waits for approval is cancelled; the money stays in the balance account",
            reversible=False,
            limits="only transfers that were made with a review, and only while they wait, 30 days at most",
        ),
        OneTransfer,
    ),
    "return_transfer": Act(
        Support(
            Grade.PARTIAL,
            how="money that came in is sent back to where it came from",
            reversible=False,
            limits="the whole amount, and only of incoming transfers that adyen can return",
        ),
        OneTransfer,
    ),
    "suspend_account_holder": Act(
        Support(
            Grade.FULL,
            how="the account holder is suspended, which stops its payouts",
            limits="the release of a block makes it active again if it was before",
        ),
        Nothing,
        undone_by="activate_account_holder",
        two_people=False,
    ),
    "activate_account_holder": Act(
        Support(
            Grade.FULL,
            how="a suspended account holder is active again",
            limits="not one that is closed; what holds are in force is put back",
        ),
        Nothing,
        undone_by="suspend_account_holder",
    ),
    "close_account_holder": Act(
        Support(
            Grade.FULL,
            how="the account holder is closed for good",
            reversible=False,
            limits="what is in its balance accounts has to be paid out or moved before; nothing opens it again",
        ),
        Nothing,
    ),
    "switch_off_capability": Act(
        Support(
            Grade.FULL,
            how="a capability is disabled",
            limits="the release of a hold or block puts the capabilities that it switches back as they were",
        ),
        Capability,
        undone_by="switch_on_capability",
        two_people=False,
    ),
    "switch_on_capability": Act(
        Support(Grade.PARTIAL, how="a capability is enabled again", limits="adyen may not allow it, or not yet"),
        Capability,
        undone_by="switch_off_capability",
    ),
    "set_transfer_limit": Act(
        Support(
            Grade.PARTIAL,
            how="what may leave a balance account, in one transfer or in a day, is limited",
            limits="adyen may ask for strong authentication of the account's user before it counts",
        ),
        TransferLimit,
        undone_by="set_transfer_limit",
    ),
    "remove_transfer_instrument": Act(
        Support(
            Grade.PARTIAL,
            how="a bank account is removed, so that nothing is paid out there",
            reversible=False,
            limits="the merchant may add it again; sweeps and schedules to it fail from then on",
        ),
        OneTransferInstrument,
    ),
    "supply_defense_document": Act(
        Support(
            Grade.FULL,
            how="a document is laid ready for the defence of a dispute",
            limits="a draft: a person submits the defence in the customer area; disputes are never accepted from here",
        ),
        DefenseDocument,
        undone_by="withdraw_defense_document",
        two_people=False,
    ),
    "withdraw_defense_document": Act(
        Support(
            Grade.FULL,
            how="a document that was laid ready is taken back",
            limits="not after the defence was submitted",
        ),
        WithdrawnDocument,
        undone_by="supply_defense_document",
        two_people=False,
    ),
    "recall_payout": Act(
        Support(
            Grade.IMPOSSIBLE,
            how="adyen has no call that brings money back from a bank",
            limits="`guard` stops transfers before they are made",
        ),
        OneTransfer,
    ),
    "hold_change_of_bank_account": Act(
        Support(
            Grade.IMPOSSIBLE,
            how="adyen asks nobody before it takes a new bank account over",
            limits="`guard` stops changes by the platform's own code; others are screened once they are made",
        ),
        Nothing,
        undone_by="hold_change_of_bank_account",
    ),
}
"""By name: what people may have done, or wish they could."""
