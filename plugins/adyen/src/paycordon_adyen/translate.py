"""What Adyen's webhooks mean, in canonical events. Pure.

An account holder that Adyen allows nothing yet is still being taken on, and what is said of it is
`merchant.onboarding`; later it is `merchant.changed`. There is no webhook for transfer instruments: that a bank account
was added shows in the capabilities of the account holder. Sweeps and payout schedules name the balance account that
they belong to and nothing else, so whose they are has to be found out first (`fetching`).

What is not read here or in `notifications` means nothing; `ignored` gives the reason for all that Adyen documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import ValidationError

from paycordon.adapting.fields import Node, problems
from paycordon.errors import PayloadInvalid
from paycordon.events import Account, Event, EventType, Mode
from paycordon.gateways import Message, NotCarried
from paycordon_adyen.accounts import account_of, allows_nothing, facts_of, identifiers_of, merchant_of, problems_of
from paycordon_adyen.deliveries import ITEM
from paycordon_adyen.money import money_of
from paycordon_adyen.notifications import READERS as NOTIFICATIONS
from paycordon_adyen.notifications import read_notification
from paycordon_adyen.sources import FETCHED, Fields, Sources
from paycordon_adyen.transfers import read_transfer

GATEWAY = "adyen"
_Reader = Callable[[Node, Sources], Fields | None]


def translate(message: Message, instance: str, mode: Mode, sources: Sources) -> list[Event]:
    """Say what a message means at an instance of a mode; unknown types and the other mode yield nothing.

    Raises:
        NotCarried: a known type that does not say whose it is.
        PayloadInvalid: a known type that cannot be read, or that carries a card number.
    """
    envelope = Node(message.body, "event")
    known = message.type in (NOTIFICATIONS if ITEM in message.body else _READERS)
    if not known or _mode(envelope) is not mode:
        return []
    try:
        if ITEM in message.body:
            item = envelope.child(ITEM)
            found = read_notification(message.type, item, sources, _fetched(envelope))
            return [_event(message, item.moment("eventDate"), instance, mode, each) for each in found]
        fields = _READERS[message.type](envelope, sources)
        at = envelope.moment("timestamp") or envelope.moment("createdAt")
        return [_event(message, at, instance, mode, fields)] if fields else []
    except ValidationError as error:
        raise PayloadInvalid(f"the event cannot be taken over: {problems(error)}") from None


def _mode(envelope: Node) -> Mode:
    if ITEM in envelope.fields():
        live: object = envelope.fields().get("live")
        found = {"true": Mode.LIVE, "false": Mode.TEST}.get(str(live).lower())
    else:
        found = {"live": Mode.LIVE, "test": Mode.TEST}.get(envelope.text("environment") or "")
    if found is None:
        raise PayloadInvalid("the message does not say whether it is of the live or of the test environment")
    return found


def _event(message: Message, at: Any, instance: str, mode: Mode, fields: Fields) -> Event:
    if at is None:
        raise PayloadInvalid("the message does not say when it was")
    extra = {"adyen_type": message.type, **fields.pop("extra", {})}
    id_ = fields.pop("id", message.id)
    return Event(id=id_, occurred_at=at, gateway=GATEWAY, instance=instance, mode=mode, extra=extra, **fields)


def _account_holder(envelope: Node, sources: Sources, *, created: bool) -> Fields | None:
    holder = envelope.child("data").child("accountHolder")
    account = account_of(holder)
    if account.id in sources.own_account_holders:
        return None
    onboarding = created or (allows_nothing(holder) and holder.text("status") != "closed")
    return {
        "type": EventType.MERCHANT_ONBOARDING if onboarding else EventType.MERCHANT_CHANGED,
        "account": account,
        "merchant": merchant_of(holder),
        "identifiers": identifiers_of(holder),
        "extra": facts_of(holder),
    }


def _balance_account(envelope: Node, sources: Sources) -> Fields | None:
    found = envelope.child("data").child("balanceAccount")
    extra = {"balance_account": found.needed_text("id"), "status": found.text("status")}
    return _changed(found.needed_text("accountHolderId"), "balance_account", extra, sources)


def _sweep(envelope: Node, sources: Sources) -> Fields | None:
    data = envelope.child("data")
    sweep = data.child("sweep")
    counterparty = sweep.child("counterparty")
    extra = {
        "balance_account": data.needed_text("accountId"),
        "sweep": sweep.needed_text("id"),
        "status": sweep.text("status"),
        "direction": sweep.text("type") or "push",
        "category": sweep.text("category"),
        "schedule": sweep.child("schedule").text("type"),
        "destination": counterparty.text("transferInstrumentId") or counterparty.text("balanceAccountId"),
    }
    return _changed(_found_holder(envelope), "sweep", extra, sources)


def _schedule(envelope: Node, sources: Sources) -> Fields | None:
    data = envelope.child("data")
    extra = {
        "balance_account": data.needed_text("balanceAccountId"),
        "schedule": data.needed_text("balanceAccountPayoutScheduleId"),
        "enabled": data.flag("enabled"),
        "frequency": data.text("frequency"),
        "destination": data.text("transferInstrumentId"),
    }
    return _changed(_found_holder(envelope), "payout_schedule", extra, sources)


def _found_holder(envelope: Node) -> str:
    fetched = _fetched(envelope)
    if fetched is None:
        raise NotCarried("the message names a balance account, and not whose it is")
    return fetched.needed_text("accountHolder")


def _fetched(envelope: Node) -> Node | None:
    return envelope.child(FETCHED) if FETCHED in envelope.fields() else None


def balance_account_of(message: Message) -> str:
    """Return the balance account that a message names instead of an account holder.

    Raises:
        PayloadInvalid: it names none.
    """
    data = Node(message.body, "event").child("data")
    return data.text("accountId") or data.needed_text("balanceAccountId")


def _score(envelope: Node, sources: Sources) -> Fields | None:
    data = envelope.child("data")
    extra = {
        "risk_score": data.integer("riskScore"),
        "signals": _texts(data, "scoreSignalsTriggered"),
        "automated_actions": _texts(data, "automatedActions"),
        "status": data.text("accountHolderStatus"),
    }
    return _changed(data.child("accountHolder").needed_text("id"), "score", extra, sources)


def _negative_balance(envelope: Node, sources: Sources) -> Fields | None:
    data = envelope.child("data")
    amount = money_of(data)
    extra = {
        "negative_balance": {"minor": -amount.minor, "currency": amount.currency},
        "negative_since": _said(data, "negativeBalanceSince"),
        "compensated_at": _said(data, "scheduledCompensationAt"),
    }
    return _changed(data.child("accountHolder").needed_text("id"), "negative_balance", extra, sources)


def _merchant_account(envelope: Node, sources: Sources) -> Fields | None:
    data = envelope.child("data")
    holder = sources.merchant_accounts.get(data.needed_text("merchantId"))
    if holder is None:
        return None  # shared by merchants, or the platform's own
    capabilities = data.child("capabilities")
    extra = {"status": data.text("status"), "problems": problems_of(capabilities)}
    return _changed(holder, "merchant_account", extra, sources)


def _changed(account: str, what: str, extra: Fields, sources: Sources) -> Fields | None:
    if account in sources.own_account_holders:
        return None
    return {"type": EventType.MERCHANT_CHANGED, "account": Account(id=account), "extra": _with(what, extra)}


def _with(what: str, extra: Fields) -> Fields:
    return {"changed": [what], **{key: value for key, value in extra.items() if value not in (None, [])}}


def _said(node: Node, key: str) -> str | None:
    moment = node.moment(key)
    return moment.isoformat() if moment else None


def _texts(node: Node, key: str) -> list[str]:
    values = node.fields().get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise PayloadInvalid(f"`event.data.{key}` is not a list of texts")
    return values[:64]


_P = "balancePlatform"
_READERS: Mapping[str, _Reader] = {
    f"{_P}.accountHolder.created": partial(_account_holder, created=True),
    f"{_P}.accountHolder.updated": partial(_account_holder, created=False),
    f"{_P}.balanceAccount.created": _balance_account,
    f"{_P}.balanceAccount.updated": _balance_account,
    f"{_P}.balanceAccountSweep.created": _sweep,
    f"{_P}.balanceAccountSweep.updated": _sweep,
    f"{_P}.balanceAccountSweep.deleted": _sweep,
    f"{_P}.balanceAccountPayoutSchedule.created": _schedule,
    f"{_P}.balanceAccountPayoutSchedule.updated": _schedule,
    f"{_P}.balanceAccountPayoutSchedule.deleted": _schedule,
    f"{_P}.score.triggered": _score,
    f"{_P}.negativeBalanceCompensationWarning.scheduled": _negative_balance,
    f"{_P}.transfer.created": lambda envelope, sources: read_transfer(envelope, created=True, sources=sources),
    f"{_P}.transfer.updated": lambda envelope, sources: read_transfer(envelope, created=False, sources=sources),
    "merchant.created": _merchant_account,
    "merchant.updated": _merchant_account,
}

TRANSLATED_TYPES = tuple(sorted((*_READERS, *NOTIFICATIONS)))
"""The types to have delivered: of the platform's webhooks, and event codes of notifications."""
