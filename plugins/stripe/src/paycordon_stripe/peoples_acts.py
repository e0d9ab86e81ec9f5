"""What people may have done at Stripe beyond restrictions: the list, and what has to be said for each.

Nothing here is automatic. Accepting a dispute (`disputes.close`) is not in it at all: it cannot be undone, and Stripe's
own Dashboard is the place for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from paycordon.gateways import Act, ActParameters, Grade, Support


def _id(prefix: str) -> StringConstraints:
    return StringConstraints(pattern=rf"^(?:{prefix})_[A-Za-z0-9_]{{1,250}}$")


PayoutId = Annotated[str, _id("po")]
TransferId = Annotated[str, _id("tr")]
ChargeId = Annotated[str, _id("ch|py")]
DisputeId = Annotated[str, _id("dp|du")]
ExternalAccountId = Annotated[str, _id("ba|card")]
Minor = Annotated[int, Field(gt=0)]


class Nothing(ActParameters):
    """The account says it all."""


class Reject(ActParameters):
    """Attributes: `reason` is Stripe's code; `payouts_action` says whether what is in the balance still goes out."""

    reason: Literal[
        "fraud_payment_method_casher",
        "fraud_payment_method_tester",
        "fraud_no_intent_to_fulfill",
        "fraud_other",
        "credit",
        "terms_of_service",
        "other",
    ]
    payouts_action: Literal["pause", "none"] = "pause"


class OnePayout(ActParameters):
    """Attributes: `payout` is its id."""

    payout: PayoutId


class ReverseTransfer(ActParameters):
    """Attributes: `reversed_before` is what was reversed when the person looked: if it changed, nothing is done."""

    transfer: TransferId
    amount: Minor
    reversed_before: Annotated[int, Field(ge=0)]
    refund_application_fee: bool = False


class RefundCharge(ActParameters):
    """Attributes: `refunded_before` is what was refunded when the person looked: if it changed, nothing is done.

    `fraudulent` also has Stripe block the card and e-mail address, which is not undone with the refund.
    """

    charge: ChargeId
    amount: Minor
    refunded_before: Annotated[int, Field(ge=0)]
    fraudulent: bool = False


class Capability(ActParameters):
    """Attributes: `capability` is Stripe's name, as `sepa_debit_payments`."""

    capability: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,100}$")]


class OneExternalAccount(ActParameters):
    """Attributes: `external_account` is the id of a bank account or card."""

    external_account: ExternalAccountId


class Delay(ActParameters):
    """Attributes: `days` is how long charges stay in the balance before they are paid out."""

    days: Annotated[int, Field(ge=2, le=31)]


class Evidence(ActParameters):
    """Attributes: `text` is put down as evidence of no particular kind."""

    dispute: DisputeId
    text: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    product_description: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.text is None and self.product_description is None:
            raise ValueError("say `text` or `product_description`")
        return self


ACTS: Mapping[str, Act] = {
    "reject": Act(
        Support(
            Grade.PARTIAL,
            how="the account is rejected with one of stripe's reasons, which stops its charges and, by choice, payouts",
            limits="only where the platform bears the losses; accounts of v2 cannot be rejected",
        ),
        Reject,
        undone_by="unreject",
    ),
    "unreject": Act(
        Support(
            Grade.PARTIAL,
            how="the rejection by the platform is taken back",
            limits="what stripe itself rejected stays rejected",
        ),
        Nothing,
        undone_by="reject",
    ),
    "cancel_payout": Act(
        Support(
            Grade.PARTIAL,
            how="a payout made by hand is cancelled while it is pending; the money returns to the balance",
            reversible=False,
            limits="not for automatic payouts, nor for any that has left",
        ),
        OnePayout,
    ),
    "reverse_payout": Act(
        Support(
            Grade.PARTIAL,
            how="money that was paid out is pulled back from the bank account",
            reversible=False,
            limits="to banks in the United States and Canada only, and the bank account's owner has to have agreed",
        ),
        OnePayout,
    ),
    "reverse_transfer": Act(
        Support(
            Grade.PARTIAL,
            how="money that the platform sent to the account is taken back",
            reversible=False,
            limits="no more than the account's balance holds; a new transfer is not the old one",
        ),
        ReverseTransfer,
    ),
    "refund_charge": Act(
        Support(
            Grade.FULL,
            how="a payer gets the money of a direct charge back",
            reversible=False,
            limits="fees may stay with stripe",
        ),
        RefundCharge,
    ),
    "switch_off_capability": Act(
        Support(
            Grade.PARTIAL,
            how="a capability is no longer requested",
            limits="stripe refuses some; the release of a block puts `card_payments` and `transfers` back as they were",
        ),
        Capability,
        undone_by="switch_on_capability",
        two_people=False,
    ),
    "switch_on_capability": Act(
        Support(Grade.PARTIAL, how="a capability is requested again", limits="may need a new review by stripe"),
        Capability,
        undone_by="switch_off_capability",
    ),
    "set_delay_days": Act(
        Support(
            Grade.PARTIAL,
            how="charges stay in the balance for longer before they are paid out",
            limits="the release of a hold that stood before writes the former delay back",
        ),
        Delay,
        undone_by="set_delay_days",
    ),
    "choose_external_account": Act(
        Support(
            Grade.PARTIAL, how="payouts go to another bank account of the merchant's", limits="within one currency"
        ),
        OneExternalAccount,
        undone_by="choose_external_account",
    ),
    "remove_external_account": Act(
        Support(
            Grade.PARTIAL,
            how="a bank account or card is removed, so that nothing is paid out there",
            reversible=False,
            limits="not the default of a currency; the merchant may add it again",
        ),
        OneExternalAccount,
    ),
    "draft_evidence": Act(
        Support(
            Grade.FULL,
            how="evidence is written down in a dispute",
            limits="a draft: a person submits it in the dashboard; disputes are never accepted from here",
        ),
        Evidence,
        undone_by="draft_evidence",
        two_people=False,
    ),
    "pause_account": Act(
        Support(Grade.IMPOSSIBLE, how="stripe has no call for it; people pause accounts in the dashboard"),
        Nothing,
        undone_by="pause_account",
    ),
    "hold_change_of_bank_account": Act(
        Support(
            Grade.IMPOSSIBLE,
            how="stripe asks nobody before it takes a new bank account over",
            limits="`guard` stops changes by the platform's own code; others are screened once they are made",
        ),
        Nothing,
        undone_by="hold_change_of_bank_account",
    ),
}
"""By name: what people may have done, or wish they could."""
