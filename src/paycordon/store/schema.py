"""The tables. Times are integers: microseconds since 1970-01-01 UTC, the same on every database.

`alembic` revisions in `store/migrations` create exactly this; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """Turn an aware time into microseconds since the epoch, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """Turn microseconds since the epoch into an aware UTC time."""
    return _EPOCH + timedelta(microseconds=value)


# SQLite gives rowids to INTEGER primary keys only; PostgreSQL needs the wider type.
_Serial = BigInteger().with_variant(Integer, "sqlite")

# One row a merchant; `seq` numbers its events, so that their order is total.
merchants = Table(
    "merchants",
    metadata,
    Column("merchant", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

# Which merchant an account belongs to: the facilitator's word, or the account itself until there is one.
accounts = Table(
    "accounts",
    metadata,
    Column("instance", String, primary_key=True),
    Column("account", String, primary_key=True),
    Column("merchant", String, nullable=False, index=True),
)

# `position` is the number of the log entry that names the event: the one order in which the store took all events in.
# `seen` is where the log ended when the event was judged: nothing behind it was known then.
events = Table(
    "events",
    metadata,
    Column("position", _Serial, primary_key=True, autoincrement=False),
    Column("seen", BigInteger, nullable=False),
    Column("instance", String, nullable=False),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("merchant", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("account", String, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("instance", "id"),
    UniqueConstraint("merchant", "seq"),
)

# What aggregates read (`paycordon.aggregates.facts`), once for each key that an event belongs to: its merchant, payer,
# destination and identifiers. The primary key keeps a window's rows side by side.
facts = Table(
    "facts",
    metadata,
    Column("key", String, primary_key=True),
    Column("type", String, primary_key=True),
    Column("occurred_at", BigInteger, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("merchant", String, nullable=False),
    Column("account", String, nullable=False),
    Column("amount", BigInteger),
    Column("currency", String),
    Column("payer", String),
    Column("destination", String),
    Column("method", String),
    Column("status", String),
    Column("reason", String),
    Column("payer_country", String),
    Column("country", String),
    Column("mcc", Integer),
    Column("payer_hour", Integer),
    Column("payer_weekday", Integer),
    sqlite_with_rowid=False,
)

# Sums of the facts of an hour since 1970, so that a long window of a large merchant is not read event by event.
# Amounts are summed in halves of 32 bits, because sums of 64-bit integers overflow; `currency` is empty without one.
hours = Table(
    "hours",
    metadata,
    Column("merchant", String, primary_key=True),
    Column("type", String, primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("account", String, primary_key=True),
    Column("currency", String, primary_key=True),
    Column("events", BigInteger, nullable=False),
    Column("low", BigInteger, nullable=False),
    Column("high", BigInteger, nullable=False),
    Column("smallest", BigInteger),
    Column("largest", BigInteger),
    sqlite_with_rowid=False,
)

# Which merchant was seen with which identifier, as keyed digests.
sightings = Table(
    "sightings",
    metadata,
    Column("digest", String, primary_key=True),
    Column("merchant", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Index("ix_sightings_merchant", "merchant"),
    sqlite_with_rowid=False,
)

indicators = Table(
    "indicators",
    metadata,
    Column("digest", String, primary_key=True),
    Column("source", String, primary_key=True),
    Column("reference", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("confidence", Integer, nullable=False),
    Column("status", String, nullable=False),
    Column("valid_from", BigInteger),
    Column("valid_until", BigInteger),
    Column("withdrawn_at", BigInteger),
    sqlite_with_rowid=False,
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", String, primary_key=True),
    Column("instance", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("merchant", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("decided_at", BigInteger, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("event_type", String, nullable=False),
    Column("shadow_outcome", String),  # what policies in shadow would have made of it, if they say anything
    UniqueConstraint("instance", "event_id"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", String, primary_key=True),
    Column("decision_id", String, nullable=False, index=True),
    Column("merchant", String, nullable=False),
    Column("instance", String, nullable=False),
    Column("account", String, nullable=False),
    Column("subject_kind", String, nullable=False),
    Column("subject_id", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("merchant_reason", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("released_at", BigInteger),
    Column("released_by", String),
    Column("release_reason", Text),
    Index("ix_holds_merchant", "merchant", "released_at"),
    Index("ix_holds_account", "instance", "account", "released_at"),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String, primary_key=True),
    Column("merchant", String, nullable=False, index=True),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
)

# What happened in a case, in order; `decision_id` is there when a decision caused it, `actor` when a person did.
case_events = Table(
    "case_events",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("case_id", String, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("decision_id", String),
    Column("actor", String),
    Column("note", Text),
)

# The desired state of one account at one instance, and how far the gateway is known to agree.
restrictions = Table(
    "restrictions",
    metadata,
    Column("instance", String, primary_key=True),
    Column("account", String, primary_key=True),
    Column("merchant", String, nullable=False, index=True),
    Column("desired", String, nullable=False),
    Column("generation", BigInteger, nullable=False),  # grows whenever a hold is placed or released
    Column("attempt", BigInteger, nullable=False),  # grows when the gateway's stored answer must not be replayed
    Column("state", String, nullable=False),
    Column("applied", String, nullable=False),
    Column("baseline", Text),
    Column("settings", Text),
    Column("expires_at", BigInteger),
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
    Column("due_at", BigInteger, nullable=False, index=True),
    Column("lease_until", BigInteger, nullable=False),
    Column("lease_owner", String),
)

# Verified messages that wait to be screened. The body goes when the work is done: the event keeps what is needed.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("instance", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("body", Text),
    Column("state", String, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
    Column("due_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("lease_owner", String),
    UniqueConstraint("instance", "message_id"),
    Index("ix_deliveries_due", "state", "due_at"),
)

log = Table(
    "log",
    metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("payload", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("statement", Text, nullable=False),
    Column("key_id", String, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

# How many events a binding screened, held and blocked in each minute since 1970.
volumes = Table(
    "volumes",
    metadata,
    Column("binding", String, primary_key=True),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("screened", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("blocked", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Every policy set that was ever in force, and the files it consisted of.
policy_sets = Table(
    "policy_sets",
    metadata,
    Column("digest", String, primary_key=True),
    Column("taken_at", BigInteger, nullable=False),
    Column("manifest", Text, nullable=False),
)

policy_files = Table(
    "policy_files",
    metadata,
    Column("digest", String, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# Items of the lists that policies name and people keep in the store.
list_items = Table(
    "list_items",
    metadata,
    Column("list", String, primary_key=True),
    Column("value", String, primary_key=True),
    Column("added_at", BigInteger, primary_key=True, autoincrement=False),
    Column("added_by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("removed_at", BigInteger),
    Column("removed_by", String),
)
