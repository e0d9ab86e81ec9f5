"""Complete events with what their deliveries left out, or what Adyen did not sign.

Webhooks of account holders name a legal entity and no more: who that is, who is behind it and where payouts go is read
here. A transfer is read as it is now, whatever order its webhooks came in. For disputes Adyen has no call that reads
them; what can be confirmed of one is whose money it took, by its transfer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import Adyen
from pydantic import ValidationError

from paycordon.adapting.fields import Node, problems, without_card_numbers
from paycordon.adapting.naming import merged
from paycordon.errors import PayloadInvalid, Refused
from paycordon.events import Event, Identifier, Payout, Stage
from paycordon_adyen.accounts import (
    account_of,
    facts_of,
    identifiers_of,
    identifiers_of_bank_account,
    identifiers_of_entity,
    identifiers_of_instrument,
    merchant_of,
)
from paycordon_adyen.errors import reading
from paycordon_adyen.fetching import holders_of
from paycordon_adyen.ids import in_path, is_account_holder
from paycordon_adyen.transfers import payout_of

MAX_READ = 10
"""How many people behind a legal entity, and how many of its bank accounts, are read; more are named in `extra`."""

_UNSIGNED = ("metadata", "split", "store")
"""By what a dispute may be told to be somebody's that Adyen has not signed."""

_Found = dict[str, Any]


class Resolver:
    """What workers read at Adyen to complete an event.

    Args:
        platform: the SDK with the key of the balance platform.
        entities: the SDK with the key of the Legal Entity Management API; none if there is no key for it.
    """

    def __init__(self, platform: Adyen.Adyen, entities: Adyen.Adyen | None) -> None:
        self._sdk = platform
        self._platform = platform.balancePlatform
        self._transfers = platform.transfers.transfers_api
        self._entities = entities.legalEntityManagement if entities else None

    def resolve(self, event: Event) -> Event:
        """Complete an event; see `paycordon.gateways.Gateway.resolve`. Payments are context, and many: as they are."""
        if event.payment is not None:
            return event
        try:
            found = self._found(event)
            return Event.model_validate({**event.model_dump(), **found})
        except PayloadInvalid as error:
            raise Refused(f"what adyen holds cannot be read: {error}") from None
        except ValidationError as error:
            raise Refused(f"what adyen holds cannot be taken over: {problems(error)}") from None

    def _found(self, event: Event) -> _Found:
        extra: _Found = {}
        found: _Found = {}
        identifiers: tuple[Identifier, ...] = event.identifiers
        if event.payout is not None and event.payout.id is not None:
            payout, payee = self._payout(event, event.payout.id)
            found["payout"], identifiers = payout, merged(identifiers, payee)
        id_ = self._account_holder(event, extra)
        if id_ is None:
            return {**found, "extra": {**event.extra, **extra}}
        holder = self._holder(id_)
        entity, behind = self._entity(event, holder, extra)
        merchant = merchant_of(holder, entity).model_dump(exclude_none=True)
        return {
            **found,
            "account": account_of(holder),
            "merchant": event.merchant.model_copy(update=merchant),
            "identifiers": merged(identifiers, identifiers_of(holder), behind),
            "extra": {**event.extra, **_facts(event, holder), **extra},
        }

    def _account_holder(self, event: Event, extra: _Found) -> str | None:
        """Return whose event it is; nobody's stays nobody's."""
        if not event.account.at_gateway:
            return None
        if not is_account_holder(event.account.id):
            raise Refused("the account is not an account holder of adyen's (`AH…`)")
        if event.dispute is not None and event.extra.get("attributed_by") in _UNSIGNED:
            extra["attribution"] = self._confirmed(event)
        return event.account.id

    def _confirmed(self, event: Event) -> str:
        """Say whether a transfer for the dispute has taken money from the account holder that unsigned fields name."""
        dispute = event.dispute
        references = {each for each in (dispute and dispute.id, dispute and dispute.payment) if each}
        try:
            found = holders_of(self._sdk, {"accountHolderId": event.account.id}, references, event.occurred_at)
        except Refused:
            return "unconfirmed"
        return "confirmed" if event.account.id in found else "unconfirmed"

    def _holder(self, id_: str) -> Node:
        holders = self._platform.account_holders_api
        found = _readable(reading(lambda: holders.get_account_holder(id_), "account holder"), "account holder")
        if found.needed_text("id") != id_:
            raise Refused("adyen answers with another account holder")
        return found

    def _payout(self, event: Event, id_: str) -> tuple[Payout, tuple[Identifier, ...]]:
        transfers = self._transfers
        found = _readable(reading(lambda: transfers.get_transfer(in_path(id_)), "transfer"), "transfer")
        if found.child("accountHolder").text("id") not in (None, event.account.id):
            raise Refused("the transfer is not of this account holder")
        return payout_of(found), identifiers_of_bank_account(found.child("counterparty").child("bankAccount"))

    def _entity(self, event: Event, holder: Node, extra: _Found) -> tuple[Node | None, tuple[Identifier, ...]]:
        """Read who an account holder is; of payouts, who they go to is known already and nobody else is asked for."""
        id_ = holder.text("legalEntityId")
        if self._entities is None or id_ is None or event.stage != Stage.MERCHANT:
            return None, ()
        try:
            entity = self._legal_entity(id_)
        except Refused:
            extra["not_read"] = "legal_entity"
            return None, ()
        named = [identifiers_of_entity(entity), *self._behind(entity, extra), *self._instruments(entity, extra)]
        return entity, merged(*named)

    def _legal_entity(self, id_: str) -> Node:
        if self._entities is None:
            raise Refused("there is no key for legal entities")
        entities = self._entities.legal_entities_api
        return _readable(reading(lambda: entities.get_legal_entity(in_path(id_)), "legal entity"), "legal entity")

    def _behind(self, entity: Node, extra: _Found) -> Iterator[tuple[Identifier, ...]]:
        ids = dict.fromkeys(
            id_ for each in entity.children("entityAssociations") if (id_ := each.text("legalEntityId"))
        )
        if len(ids) > MAX_READ:
            extra["more_people"] = len(ids) - MAX_READ
        for id_ in list(ids)[:MAX_READ]:
            with suppress(Refused):  # their names stand in the association too
                yield identifiers_of_entity(self._legal_entity(id_))

    def _instruments(self, entity: Node, extra: _Found) -> Iterator[tuple[Identifier, ...]]:
        if self._entities is None:
            return
        ids = [id_ for each in entity.children("transferInstruments") if (id_ := each.text("id"))]
        if len(ids) > MAX_READ:
            extra["more_transfer_instruments"] = len(ids) - MAX_READ
        instruments = self._entities.transfer_instruments_api
        for id_ in ids[:MAX_READ]:
            with suppress(Refused):
                found = reading(
                    lambda id_=id_: instruments.get_transfer_instrument(in_path(id_)),  # type: ignore[misc]  # bound at once
                    "transfer instrument",
                )
                yield identifiers_of_instrument(_readable(found, "transfer instrument"))


def _readable(found: Node, what: str) -> Node:
    # The merchant writes some of these texts: a card number in one must not keep the others from being compared.
    return Node(without_card_numbers(dict(found.fields())), what)


def _facts(event: Event, holder: Node) -> _Found:
    return facts_of(holder) if event.stage == Stage.MERCHANT and "changed" not in event.extra else {}
