"""What people do: cases, proposals, snoozes, directives, and what others are told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, text

from paycordon.store.schema.base import Serial, metadata

cases = Table(
    "cases",
    metadata,
    Column("id", String, primary_key=True),
    Column("merchant", String, nullable=False, index=True),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("state", String, nullable=False),  # `open`, `waiting`, `escalated` or `closed`
    Column("priority", Integer, nullable=False),  # 0 is the most urgent
    Column("assignee", String),
    Column("closed_by", String),
    Column("resolution", String),
    Column("restricted", Integer, nullable=False),  # 1 where only the role `restricted` sees it
    Column("clocked", Integer, nullable=False, server_default="0", index=True),  # 1 once its clocks were started
    Index("ix_cases_state", "state", "priority", "opened_at"),
    Index(
        "uq_cases_open",
        "merchant",
        unique=True,
        sqlite_where=text("closed_at IS NULL AND restricted = 0"),
        postgresql_where=text("closed_at IS NULL AND restricted = 0"),
    ),
)

# What happened in a case, in order; `decision_id` is there when a decision caused it, `actor` when a person did.
case_events = Table(
    "case_events",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("case_id", String, nullable=False, index=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("decision_id", String),
    Column("actor", String),
    Column("note", Text),
    Column("detail", Text),  # JSON, where a note is not enough
)

# What one person proposed and another must agree to: releases, blocks, referrals.
proposals = Table(
    "proposals",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("merchant", String, nullable=False),
    Column("subject_id", String, nullable=False),
    Column("case_id", String),
    Column("detail", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", String, nullable=False),
    Column("proposed_at", BigInteger, nullable=False),
    Column("lapses_at", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # `open` (until it lapses), `agreed` or `declined`
    Column("decided_by", String),
    Column("decided_at", BigInteger),
    Column("decision_reason", Text),
    Column("restricted", Integer, nullable=False),
    Index("ix_proposals_state", "state", "proposed_at"),
    Index("ix_proposals_subject", "subject_id", "state"),
)

# A rule that says nothing about one merchant for a while, because a person found it wrong there.
snoozes = Table(
    "snoozes",
    metadata,
    Column("id", String, primary_key=True),
    Column("merchant", String, nullable=False, index=True),
    Column("rule", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("placed_by", String, nullable=False),
    Column("agreed_by", String),  # the second person, where it took two
    Column("placed_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", String),
)

# Instructions of authorities. Only the role `restricted` sees them; what they do is in `covert` and `restricted_log`.
directives = Table(
    "directives",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),  # `keep_open` or `freeze`
    Column("merchant", String, nullable=False, index=True),
    Column("agency", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("flags", Text, nullable=False),  # JSON
    Column("placed_by", String, nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", String),
    Column("end_reason", Text),
)

# What really was decided while a keep-open request was in force, by the decision that everybody else sees.
covert = Table(
    "covert",
    metadata,
    Column("decision_id", String, primary_key=True),
    Column("directive_id", String, nullable=False, index=True),
    Column("merchant", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("noted", Integer, nullable=False, index=True),  # 1 once it stands in the restricted log and case
    Column("settled_at", BigInteger),
    Column("settled", Text),
)

# What merchants object to, once for each of their ids; the words are in the case.
appeals = Table(
    "appeals",
    metadata,
    Column("id", String, primary_key=True),
    Column("merchant", String, nullable=False),
    Column("case_id", String),  # none where nothing was ever seen of the merchant
    Column("received_at", BigInteger, nullable=False),
)

# How far the log was followed, by what follows it.
cursors = Table(
    "cursors",
    metadata,
    Column("name", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# What a merchant is told, in neutral words, and by when.
notices = Table(
    "notices",
    metadata,
    Column("id", String, primary_key=True),
    Column("merchant", String, nullable=False, index=True),
    Column("subject_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("language", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("fields", Text, nullable=False),  # JSON: those of a statement of reasons
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("sent_at", BigInteger),
    Column("sent_by", String),
)

# What others are told: one row for each endpoint, until it has taken the message.
notifications = Table(
    "notifications",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("endpoint", String, nullable=False),
    Column("message_id", String, nullable=False),
    Column("type", String, nullable=False),
    Column("merchant", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", String, nullable=False),  # `waiting`, `delivered` or `stuck`
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
    Column("due_at", BigInteger, nullable=False),
    Column("delivered_at", BigInteger),
    Column("lease_until", BigInteger, nullable=False),
    Column("lease_owner", String),
    Index("ix_notifications_due", "state", "due_at"),
)
