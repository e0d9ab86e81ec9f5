"""What is screened, and what is known before."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint, text

from paycordon.store.schema.base import Serial, metadata

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
    Column("position", Serial, primary_key=True, autoincrement=False),
    Column("seen", BigInteger, nullable=False),
    Column("instance", String, nullable=False),
    Column("id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("merchant", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("account", String, nullable=False),
    Column("occurred_at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),  # empty once it was erased
    Column("salt", String),  # goes before the body into the log's digest, and is erased with it; none in old rows
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

# Which merchant was seen with which identifier, as keyed digests. `named_on` is the last day, counted from 1970, on
# which an event about the merchant itself or its payouts carried it, or an address or URL in that domain; none if no
# such event did: then it may be a payer's. A day, so that the index over it is rarely written.
sightings = Table(
    "sightings",
    metadata,
    Column("digest", String, primary_key=True),
    Column("merchant", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("named_on", Integer),
    Index("ix_sightings_merchant", "merchant"),
    Index(
        "ix_sightings_merchant_named_on",
        *("merchant", "named_on"),
        sqlite_where=text("named_on IS NOT NULL"),
        postgresql_where=text("named_on IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# `changed_at` is when its source last said something else of it, by our clock, and `changed_by` who said so: who
# corrected it, or withdrew it. `half_life` is in days. `reshare` is 1 where it may be passed on.
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
    Column("category", String, nullable=False),
    Column("tlp", String, nullable=False),
    Column("first_seen", BigInteger),
    Column("last_seen", BigInteger),
    Column("half_life", Integer),
    Column("licence", String, nullable=False),
    Column("reshare", Integer, nullable=False),
    Column("changed_at", BigInteger),
    Column("changed_by", String),
    # What counts of a source, by ranges of references. They are compared by bytes whatever the database's language is:
    # on PostgreSQL by the operators `~>=~` and `~<~` of this class.
    Index(
        "ix_indicators_counting",
        "source",
        "reference",
        "digest",
        sqlite_where=text("withdrawn_at IS NULL"),
        postgresql_where=text("withdrawn_at IS NULL"),
        postgresql_ops={"reference": "text_pattern_ops"},
    ),
    sqlite_with_rowid=False,
)

# What was added together, numbered by its entry in the log. `keys` are 64 bits of each digest that counts since then,
# so that a lookup learns what is new without reading the indicators.
indicator_batches = Table(
    "indicator_batches",
    metadata,
    Column("position", Serial, primary_key=True, autoincrement=False),
    Column("source", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("keys", LargeBinary, nullable=False),
)

# Which merchants an indicator has matched, each once; an indicator that matches very many names nobody.
indicator_matches = Table(
    "indicator_matches",
    metadata,
    Column("digest", String, primary_key=True),
    Column("merchant", String, primary_key=True),
    Column("first_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What merchants are known by under keys that the coalition shares, and the last day, counted from 1970, on which an
# event about the merchant itself carried it. Apart from sightings, which would tie two merchants twice by one thing.
aliases = Table(
    "aliases",
    metadata,
    Column("digest", String, primary_key=True),
    Column("merchant", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("named_on", Integer, nullable=False),
    Index("ix_aliases_merchant_named_on", "merchant", "named_on"),
    sqlite_with_rowid=False,
)

# How far each feed was read: `checkpoint` is the feed's own word for it.
indicator_sources = Table(
    "indicator_sources",
    metadata,
    Column("source", String, primary_key=True),
    Column("checkpoint", Text),
    Column("position", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What all rows of a source add up to (`store.sums`), so that the log need not name each of them.
indicator_sums = Table(
    "indicator_sums",
    metadata,
    Column("source", String, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("sum", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# How each configured feed does. `failures` are looks in a row that failed; `state` is `refused`, `waiting` or `failed`;
# `told` is the state that the log has last said, none once it said that all is well again.
feeds = Table(
    "feeds",
    metadata,
    Column("name", String, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Column("owner", String),
    Column("leased_until", BigInteger),
    Column("looked_at", BigInteger),
    Column("good_at", BigInteger),
    Column("changed_at", BigInteger),
    Column("failures", Integer, nullable=False),
    Column("state", String),
    Column("why", Text),
    Column("told", String),
    sqlite_with_rowid=False,
)

# Batches that would match more merchants than their source may without a person, named by the digest of their contents.
indicator_waiting = Table(
    "indicator_waiting",
    metadata,
    Column("digest", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("added", Integer, nullable=False),
    Column("withdrawn", Integer, nullable=False),
    Column("matches", Integer, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("approved_by", String),
    Column("reason", Text),
    Column("approved_at", BigInteger),
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
    Column("body", Text, nullable=False),  # empty once it was erased
    Column("event_type", String, nullable=False),
    Column("shadow_outcome", String),  # what policies in shadow would have made of it, if they say anything
    Column("salt", String),  # as of events
    UniqueConstraint("instance", "event_id"),
)

# Which decisions an indicator or a policy led to, so that a correction reaches all of them.
uses = Table(
    "uses",
    metadata,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("decision_id", String, primary_key=True),
    sqlite_with_rowid=False,
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

# Verified messages that wait to be screened. The body goes when the work is done: the event keeps what is needed.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
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
