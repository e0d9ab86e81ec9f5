"""What is held, until when, and what the gateways are to have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from paycordon.store.schema.base import Serial, metadata

holds = Table(
    "holds",
    metadata,
    Column("id", String, primary_key=True),
    Column("decision_id", String, index=True),  # none for a hold that a person or an order placed
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
    Column("source", String, nullable=False),  # `decision`, `person` or `order`
    Column("scope", String, nullable=False),  # `payout`, `outflow`, `payouts`, `charges` or `onboarding`
    Column("amount", BigInteger),  # what is held, in minor units, where that is known
    Column("currency", String),
    Column("placed_by", String),
    Column("internal_reason", Text),
    Column("two_people", Integer, nullable=False),  # 1 where a release takes two people
    Column("clocked", Integer, nullable=False, server_default="0", index=True),  # 1 once its clocks were started
    Index("ix_holds_merchant", "merchant", "released_at"),
    Index("ix_holds_account", "instance", "account", "released_at"),
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
    Column("drift", Text),  # what somebody set by hand and nobody has decided about yet
)

# What people asked for at gateways beyond restrictions, and what became of it.
acts = Table(
    "acts",
    metadata,
    Column("id", String, primary_key=True),
    Column("instance", String, nullable=False),
    Column("account", String, nullable=False),
    Column("merchant", String, nullable=False, index=True),
    Column("act", String, nullable=False),
    Column("parameters", Text, nullable=False),  # JSON
    Column("reason", Text, nullable=False),
    Column("asked_by", String, nullable=False),
    Column("agreed_by", String),  # the second person, where it takes two
    Column("asked_at", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # `waiting`, `done` or `stuck`
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
    Column("due_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("lease_owner", String),
    Column("settled_at", BigInteger),
    Column("reference", String),  # what was made or changed at the gateway
    Column("result", Text),  # its state as read back, in the gateway's own words
    Column("already", Integer),  # 1 where it was found to be so
    Index("ix_acts_due", "state", "instance", "due_at"),
)

# How each gateway instance fares, shared by all workers: one of which too much fails is left alone for a while.
gateway_health = Table(
    "gateway_health",
    metadata,
    Column("instance", String, primary_key=True),
    Column("failed", Text, nullable=False),  # the accounts that failed in a row, as JSON
    Column("rests", Integer, nullable=False),  # how often in a row it was left alone; 0 while it is worked with
    Column("rests_until", BigInteger, nullable=False),
    Column("probe_until", BigInteger, nullable=False),  # until then one worker tries whether it answers again
    Column("next_at", BigInteger, nullable=False),  # when the next account would be in time under the rate limit
    Column("changed_at", BigInteger, nullable=False),
)


# Deadlines of holds, cases, directives and notices: `next_at` is when something has to be done about one, and none once
# it has stopped or run out.
clocks = Table(
    "clocks",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("subject_kind", String, nullable=False),
    Column("subject_id", String, nullable=False),
    Column("merchant", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("source", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("warn_at", BigInteger),
    Column("due_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, index=True),
    Column("state", String, nullable=False),  # `running`, `warned`, `due` or `stopped`
    Column("ended_at", BigInteger),
    Column("restricted", Integer, nullable=False),
    Index("ix_clocks_subject", "subject_id", "kind"),
)
