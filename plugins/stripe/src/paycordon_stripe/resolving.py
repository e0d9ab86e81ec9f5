"""Complete events with what their deliveries left out, or say better now."""

from __future__ import annotations

from typing import Any

import stripe
from pydantic import ValidationError

from paycordon.adapting.fields import problems, without_card_numbers
from paycordon.adapting.naming import merged
from paycordon.errors import PayloadInvalid, Refused
from paycordon.events import Dispute, Event, Identifier, Payout, Stage
from paycordon_stripe.accounts import account_of, identifiers_of, identifiers_of_person, merchant_of
from paycordon_stripe.acts import account_id, node_of, stripe_id
from paycordon_stripe.errors import reading
from paycordon_stripe.shapes import Node
from paycordon_stripe.translate import payout_of, transfer_of
from paycordon_stripe.translate_payments import HELD_BY, PLATFORM, dispute_of

_TRANSFER, _WARNING = "tr_", "issfr_"


class Resolver:
    """What workers read before an event is judged.

    Args:
        client: must not retry by itself.
    """

    def __init__(self, client: stripe.StripeClient) -> None:
        self._v1 = client.v1

    def resolve(self, event: Event) -> Event:
        """Complete an event with what its delivery left out; see `paycordon.gateways.Gateway.resolve`.

        Adds what the account says of the merchant, the people behind a company where it is the merchant that is judged,
        and the present state of a payout, transfer, dispute or warning, which may have moved on since the delivery.
        Payments are taken as they are: they are many, and only context.
        """
        if event.payment is not None:
            return event
        id_ = account_id(event.subject)
        try:
            # The merchant writes these texts: a card number in one must not keep the others from being compared.
            account = _read(lambda: self._v1.accounts.retrieve(id_), "account")
            found = {
                "account": account_of(account, id_),
                "merchant": event.merchant.model_copy(update=_known(merchant_of(account).model_dump())),
                "identifiers": self._identifiers(event, account, id_),
                **self._moved_on(event, id_),
            }
            return Event.model_validate({**event.model_dump(), **found})
        except PayloadInvalid as error:
            raise Refused(f"what stripe holds cannot be read: {error}") from None
        except ValidationError as error:
            raise Refused(f"what stripe holds cannot be taken over: {problems(error)}") from None

    def _identifiers(self, event: Event, account: Node, id_: str) -> tuple[Identifier, ...]:
        people: tuple[Identifier, ...] = ()
        if event.stage == Stage.MERCHANT and account.text("business_type") != "individual":
            # Owners, directors and representatives of a company are not part of its account.
            listed = _read(lambda: self._v1.accounts.persons.list(id_, {"limit": 100}), "people")
            people = tuple(
                found
                for each in Node({"list": listed.fields()}, "people").items("list")
                for found in identifiers_of_person(each)
            )
        return merged(event.identifiers, identifiers_of(account), people)

    def _moved_on(self, event: Event, account: str) -> dict[str, Payout | Dispute]:
        options: stripe.RequestOptions = {} if event.extra.get(HELD_BY) == PLATFORM else {"stripe_account": account}
        if event.payout is not None and event.payout.id is not None:
            return {"payout": self._payout(stripe_id(event.payout.id), options)}
        if event.dispute is not None:
            return {"dispute": self._dispute(event.dispute, options)}
        return {}

    def _payout(self, id_: str, options: stripe.RequestOptions) -> Payout:
        if id_.startswith(_TRANSFER):
            return transfer_of(_read(lambda: self._v1.transfers.retrieve(id_), "transfer"))
        return payout_of(_read(lambda: self._v1.payouts.retrieve(id_, {}, options), "payout"))

    def _dispute(self, dispute: Dispute, options: stripe.RequestOptions) -> Dispute:
        id_ = stripe_id(dispute.id)
        if id_.startswith(_WARNING):
            warnings = self._v1.radar.early_fraud_warnings
            found = _read(lambda: warnings.retrieve(id_, {}, options), "early fraud warning")
            status = "actionable" if found.flag("actionable") else "not_actionable"
            return dispute.model_copy(update={"status": status, "reason": found.text("fraud_type")})
        return dispute_of(_read(lambda: self._v1.disputes.retrieve(id_, {}, options), "dispute"))


def _read(call: Any, what: str) -> Node:
    return Node(without_card_numbers(node_of(reading(call), what).fields()), what)


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
