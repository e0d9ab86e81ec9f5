"""Examine what a deployment knows from others: its feeds, and the keys that their identifiers are stored under."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from paycordon.config import Config
from paycordon.doctor.examination import Examination, Health
from paycordon.exchange.inquiry import Inquiry
from paycordon.feeds.contract import Feed
from paycordon.store import feeds as states
from paycordon.store.feeds import FeedState
from paycordon.store.inquiries import unanswered, watch_of
from paycordon.store.keyuse import unconfigured

_PERIODS = 5
_AT_LEAST = timedelta(minutes=10)
_FAILURES = 3

_Word = tuple[str, Health, str]


def examine_digests(examination: Examination, connection: Connection, config: Config, now: datetime) -> None:
    """Find indicators that match nothing because their key is not configured."""
    strange = unconfigured(connection, config.identifier_keys.keys, now)
    for key, count in strange.items():
        message = f"{count} indicators are under the key `{key}`, which is not configured: they match nothing"
        examination.note("identifiers", message, Health.WARN, f"add `{key}` to `identifier_keys.keys` again")
    if not strange:
        examination.note("identifiers", "every indicator that counts is under a configured key")


def examine_feeds(
    examination: Examination, connection: Connection, feeds: Mapping[str, Feed[Any]], now: datetime
) -> None:
    """Find feeds that are refused, fail, wait for a person, or have not been read for too long."""
    known = {each.name: each for each in states.states(connection)}
    words = [(name, word) for name, feed in feeds.items() for word in _said(feed, known.get(name), now)]
    for name, (message, health, fix) in words:
        examination.note("feeds", f"`{name}` {message}", health, fix.format(name))
    if not feeds:
        examination.note("feeds", "none is configured")
    elif not words:
        examination.note("feeds", f"{len(feeds)} are read and taken in")


def examine_exchange(examination: Examination, connection: Connection, configured: set[str]) -> None:
    """Say whether messages to recipients are stuck, or wait for one that is not configured any more."""
    query = "SELECT recipient, state, COUNT(*) FROM exchange_messages WHERE state <> 'draft' GROUP BY recipient, state"
    rows = connection.execute(text(query)).all()
    stuck = sum(number for _, state, number in rows if state == "stuck")
    waiting = sorted({name for name, state, _ in rows if state in ("waiting", "stuck") and name not in configured})
    if stuck:
        message = f"{stuck} messages to recipients are stuck"
        examination.note("exchange", message, Health.FAIL, "`paycordon exchange list` and `show` say why")
    if waiting:
        message = f"messages wait for `{waiting[0]}`, which is not among `exchange`"
        examination.note("exchange", message, Health.WARN, "configure it again")
    if rows and not stuck and not waiting:
        examination.note("exchange", "no message is stuck")


def examine_inquiries(examination: Examination, connection: Connection, lists: Mapping[str, Inquiry[Any]]) -> None:
    """Find lists of terminated merchants that cannot be heard, and inquiries without an answer."""
    known = {each.name: each for each in states.states(connection)}
    for name in lists:
        state = known.get(watch_of(name))
        if state is not None and state.state is not None:
            health = Health.FAIL if state.failures >= _FAILURES else Health.WARN
            fix = "later listings are not heard of until it answers"
            examination.note("inquiries", f"`{name}` cannot be heard: {state.why}", health, fix)
        else:
            examination.note("inquiries", f"`{name}` can be asked; {unanswered(connection, name)} have no answer")
    if not lists:
        examination.note("inquiries", "no list of terminated merchants is configured")


def _said(feed: Feed[Any], state: FeedState | None, now: datetime) -> Iterator[_Word]:
    every = feed.settings.every
    if feed.forgets_after is not None and every >= feed.forgets_after:
        yield (
            f"is looked at every {every.days} days, and its source tells of deletions for {feed.forgets_after.days}",
            Health.FAIL,
            "shorten `every`",
        )
    if state is None or state.looked_at is None:
        yield "has never been read", Health.WARN, "start a worker with `paycordon work`, or: paycordon feed pull {}"
        return
    yield from _of_state(state)
    unread = now - (state.good_at or state.looked_at)
    if feed.forgets_after is not None and unread > feed.forgets_after * 2 / 3:
        lost = unread > feed.forgets_after
        word = "what it took back meanwhile still counts" if lost else "then what it takes back is lost"
        told = f"its source tells of deletions for {feed.forgets_after.days}: {word}"
        fix = "paycordon feed pull {} --anew" if lost else "paycordon feed pull {}"
        yield f"was last read {unread.days} days ago; {told}", Health.FAIL, fix
    elif state.state is None and unread > max(_PERIODS * every, _AT_LEAST):
        yield f"was last read {_ago(unread)} ago", Health.FAIL, "start a worker with `paycordon work`"


def _of_state(state: FeedState) -> Iterator[_Word]:
    if state.state == states.WAITING:
        yield "waits for a person", Health.WARN, "`paycordon indicator waiting` says what would be matched"
    elif state.state == "refused":
        yield f"is refused: {state.why}", Health.FAIL, "`paycordon feed show {}`, then tell its publisher"
    elif state.state is not None:
        health = Health.FAIL if state.failures >= _FAILURES else Health.WARN
        yield f"cannot be read, {state.failures} times so far: {state.why}", health, "`paycordon feed show {}`"


def _ago(time: timedelta) -> str:
    return f"{time.days} days" if time.days > 1 else f"{int(time.total_seconds() // 60)} minutes"
