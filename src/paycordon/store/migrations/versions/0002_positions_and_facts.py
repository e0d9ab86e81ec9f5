"""Positions and facts of events, for aggregates; event types of decisions; policy history, lists and volumes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from pydantic import ValidationError

from paycordon.aggregates.facts import Facts, facts_of
from paycordon.events import Event
from paycordon.store.facts import add_facts, add_to_hours

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PAGE = 500
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LOGGED = "SELECT seq, payload FROM log WHERE seq > :last AND kind IN ('event', 'decision') ORDER BY seq LIMIT 500"

_COPIED = ("instance", "id", "type", "merchant", "seq", "account", "occurred_at", "recorded_at", "body")


def upgrade() -> None:
    """Create the new tables and fill them from what was recorded."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SET LOCAL statement_timeout = 0")  # a large store takes as long as it takes
    _create_tables()
    _change_decisions()
    _change_events()


def downgrade() -> None:
    """Refuse: a store is taken back by restoring the backup made before it was upgraded."""
    raise NotImplementedError("restore the backup made before the upgrade")


def _create_tables() -> None:
    op.create_table(
        "facts",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        *(
            sa.Column(name, sa.String(), nullable=True)
            for name in ("currency", "payer", "destination", "method", "status", "reason", "payer_country", "country")
        ),
        *(sa.Column(name, sa.Integer(), nullable=True) for name in ("mcc", "payer_hour", "payer_weekday")),
        sa.PrimaryKeyConstraint("key", "type", "occurred_at", "position", name=op.f("pk_facts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hours",
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("smallest", sa.BigInteger(), nullable=True),
        sa.Column("largest", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("merchant", "type", "hour", "account", "currency", name=op.f("pk_hours")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "volumes",
        sa.Column("binding", sa.String(), nullable=False),
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("screened", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("blocked", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("binding", "minute", name=op.f("pk_volumes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "policy_sets",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_policy_sets")),
    )
    op.create_table(
        "policy_files",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_policy_files")),
    )
    op.create_table(
        "list_items",
        sa.Column("list", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("removed_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("list", "value", "added_at", name=op.f("pk_list_items")),
    )


def _change_decisions() -> None:
    op.add_column("decisions", sa.Column("event_type", sa.String(), nullable=True))
    op.add_column("decisions", sa.Column("shadow_outcome", sa.String(), nullable=True))
    op.execute(
        "UPDATE decisions SET event_type = COALESCE((SELECT type FROM events WHERE "
        "events.instance = decisions.instance AND events.id = decisions.event_id), '')"
    )
    with op.batch_alter_table("decisions") as table:
        table.alter_column("event_type", existing_type=sa.String(), nullable=False)
    op.create_index(op.f("ix_decisions_decided_at"), "decisions", ["decided_at"])


def _change_events() -> None:
    """Write the events anew, in the order of the log, each with its facts."""
    op.drop_index("ix_events_window", "events")
    op.rename_table("events", "events_before")
    if op.get_bind().dialect.name == "postgresql":  # where names of constraints belong to the whole schema
        op.drop_constraint("pk_events", "events_before")
        op.drop_constraint("uq_events_merchant_seq", "events_before")
        op.create_index("ix_events_before", "events_before", ["instance", "id"])
    events = op.create_table(
        "events",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("merchant", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_events")),
        sa.UniqueConstraint("instance", "id", name=op.f("uq_events_instance_id")),
        sa.UniqueConstraint("merchant", "seq", name=op.f("uq_events_merchant_seq")),
    )
    _copy(op.get_bind(), events)
    op.drop_table("events_before")


def _copy(connection: sa.Connection, events: sa.Table) -> None:
    before = sa.table("events_before", *map(sa.column, _COPIED))
    key = sa.tuple_(before.c.instance, before.c.id)
    for page in _pages(_in_log(connection)):
        found = connection.execute(sa.select(before).where(key.in_([names for _, names in page]))).mappings()
        by_name = {(row["instance"], row["id"]): row for row in found}
        rows = [(position, by_name[names]) for position, names in page if names in by_name]
        _write(connection, events, rows)
        connection.execute(sa.delete(before).where(key.in_(list(by_name))))
    # Events that no entry of the log names are kept for `log verify` to complain about, in front of all others.
    unnamed = connection.execute(sa.select(before).order_by(before.c.merchant, before.c.seq)).mappings().all()
    _write(connection, events, [(number - len(unnamed), row) for number, row in enumerate(unnamed)])


def _in_log(connection: sa.Connection) -> Iterator[tuple[int, tuple[str, str]]]:
    """Positions and names of the events that the log names, in its order."""
    last = 0
    query = sa.text(
        "SELECT seq, payload FROM log WHERE seq > :last AND kind IN ('event', 'decision') ORDER BY seq LIMIT 500"
    )
    while rows := connection.execute(query, {"last": last}).all():
        for seq, payload in rows:
            names = _names(payload)
            if names is not None:
                yield seq, names
        last = rows[-1][0]


def _names(payload: object) -> tuple[str, str] | None:
    try:
        content = json.loads(payload) if isinstance(payload, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    instance, event = content.get("instance"), content.get("event")
    return (instance, event) if isinstance(instance, str) and isinstance(event, str) else None


def _pages(named: Iterator[tuple[int, tuple[str, str]]]) -> Iterator[Sequence[tuple[int, tuple[str, str]]]]:
    page: dict[tuple[str, str], int] = {}
    for position, names in named:
        page.setdefault(names, position)
        if len(page) == _PAGE:
            yield [(p, n) for n, p in page.items()]
            page = {}
    if page:
        yield [(p, n) for n, p in page.items()]


def _write(connection: sa.Connection, events: sa.Table, rows: Sequence[tuple[int, Mapping[Any, Any]]]) -> None:
    if not rows:
        return
    # What was known when they were judged is not recorded; everything before them is the nearest guess.
    connection.execute(events.insert(), [{**dict(row), "position": at, "seen": at - 1} for at, row in rows])
    for position, row in rows:
        facts = _facts(row)
        if facts is not None:
            add_to_hours(connection, facts)
            add_facts(connection, facts, position)


def _facts(row: Mapping[Any, Any]) -> Facts | None:
    """The facts of an event, unless somebody changed its text so that nobody can read it any more."""
    try:
        return facts_of(Event.model_validate_json(row["body"]), row["merchant"])
    except ValidationError:
        return None
