"""Appeals: a merchant objects, and a person looks again."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select, text

from paycordon.cardnumbers import looks_like_card_number
from paycordon.events import OpaqueId
from paycordon.record.log import append
from paycordon.store import cases, schema
from paycordon.store.prepared import Prepared
from paycordon.store.schema import micros

_LONGEST = 4_000

_insert = Prepared(
    text("INSERT INTO appeals (id, merchant, received_at) VALUES (:id, :merchant, :at) ON CONFLICT (id) DO NOTHING")
)


def _without_card_number(words: str) -> str:
    if looks_like_card_number(words):
        raise ValueError("looks like it holds a card number, which is never taken")
    return words


class Appeal(BaseModel):
    """What a merchant says. `id` is the caller's: the same appeal sent again changes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: OpaqueId
    merchant: OpaqueId
    text: Annotated[str, Field(min_length=1, max_length=_LONGEST, repr=False), AfterValidator(_without_card_number)]


def receive(connection: Connection, appeal: Appeal, now: datetime) -> None:
    """Put an appeal into the merchant's case: the open one, the last one opened again, or a new one.

    Says nothing of what stands against the merchant, nor whether they are known at all: a caller may be anybody who
    passes on what a merchant writes.
    """
    row = {"id": appeal.id, "merchant": appeal.merchant, "at": micros(now)}
    if _insert(connection, row).rowcount != 1 or not _is_known(connection, appeal.merchant):
        return
    reopened = cases.reopen_latest(connection, appeal.merchant)
    case = cases.open_for(connection, appeal.merchant, now, secrets.token_bytes, priority=cases.PRESSING)
    cases.add_event(connection, case, now, "appeal", note=appeal.text)
    connection.execute(schema.appeals.update().where(schema.appeals.c.id == appeal.id).values(case_id=case))
    append(connection, now, "case.appeal", {"case": case, "appeal": appeal.id, "reopened": int(reopened)})


def _is_known(connection: Connection, merchant: str) -> bool:
    table = schema.merchants
    return connection.execute(select(table.c.merchant).where(table.c.merchant == merchant)).first() is not None
