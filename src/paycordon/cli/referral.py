"""`paycordon referral`: tips that others hand us, for the role `restricted` alone; takes them in, lists and shows them.

Who has not the role is told so before anything is looked up: the answer is the same whether there is one or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_restricted_work, said
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from paycordon.cli.output import print_fields, print_json, print_line, print_note, print_table, progressing
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from paycordon.coalition.identifiers import Digester
    from paycordon.review.referring import Shown
    from paycordon.store.referrals import About, Line, Referral

ReferralId = Annotated[str, typer.Argument(metavar="ID", help="The referral, as `referral list` names it.")]


def receive(
    by: ByOption,
    reason: ReasonOption,
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="Tips as JSON: one object, or one a line; `-` is stdin.")
    ] = Path("-"),
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take in tips from a file; only keyed digests of their identifiers are kept. Either all are taken in or none.

    Each has `source` and `reference`, and `identifiers` (kind and value) or `merchants`, or both; it may have
    `received_at`, `category`, `note`, `confidence`, `status`, `valid_until`, `tlp`, `licence` and `reshare`.
    """
    from paycordon.cli.inputs import InputInvalid, read_each
    from paycordon.errors import Conflict, Position
    from paycordon.review import referring
    from paycordon.review.referring import Doing, Practice

    why = said(reason)
    with at_restricted_work(config, by) as (read, store, person, now):
        doing, digester = Doing(person, why, now, Practice.of(read)), read.digester()
        tips = read_each(file, lambda *place: (place[:2], _about(digester, now, *place)))
        taken: list[Referral] = []
        with progressing("taking in", len(tips)) as shown, store.write() as connection:
            for (name, line), tip in tips:
                try:
                    taken.append(referring.receive(connection, tip, doing))
                except Conflict as conflict:
                    raise InputInvalid(str(conflict), position=Position(name, line)) from None
                shown(len(taken))
    if as_json:
        print_json([_document(each) for each in taken])
        return
    for each in taken:
        about = each.about
        what = f"{len(about.indicators)} identifiers, {len(about.merchants)} merchants"
        old = "" if each.last.at == now else f", is here since {each.history[0].at:%Y-%m-%d %H:%M}Z"
        print_line(f"{each.id}: {about.reference} of {about.source}, {what}{old}")
    print_line("nothing rests on them yet; offer them to law enforcement, or release them where that need not be")


def correct(
    by: ByOption,
    reason: ReasonOption,
    file: Annotated[
        Path,
        typer.Argument(metavar="[FILE]", help="The tip as its source states it now, as JSON; `-` is stdin."),
    ] = Path("-"),
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take in what a source says now instead, under the same reference; what it said before stays in the history.

    After a release, what it does not say any more, or says otherwise, counts no more at once; what is new waits for
    law enforcement and two people, as any tip. What stands word for word goes on counting.
    """
    from paycordon.cli.inputs import checked, read_each
    from paycordon.review import referral_correction
    from paycordon.review.referring import Doing, Practice

    why = said(reason)
    with at_restricted_work(config, by) as (read, store, person, now):
        doing, digester = Doing(person, why, now, Practice.of(read)), read.digester()
        tips = read_each(file, lambda *place: _about(digester, now, *place))
        checked(f"one tip is corrected at a time, and there are {len(tips)}", len(tips) == 1)
        found = referral_correction.correct(store, tips[0], doing)
    new = found.last.at == now
    report(found, "is corrected" if new else "says so already", as_json=as_json)
    if as_json or not new:
        return
    if len(found.history) > 1 and found.history[-2].step == "propose":
        print_line("its release was proposed for the former words; propose it again")
    if found.released_at is not None:
        print_line("what it does not say any more counts no more; what is new waits for law enforcement and two people")
    elif found.kept_from is not None and (more := found.last.detail["new_merchants"]):
        print_line(f"not kept open until `paycordon referral hold` says so: {', '.join(more)}")


def list_referrals(
    by: ByOption,
    everything: Annotated[bool, typer.Option("--all", help="Include those that have ended.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """List referrals, those that are due first at the front; the look is recorded. Exits with 1 when one is overdue."""
    from paycordon.review import referring
    from paycordon.store.reminders import unsent

    with at_restricted_work(config, by) as (_, store, person, now), store.write() as connection:
        found = referring.listed(connection, by=person, now=now, everything=everything)
        waiting = unsent(connection)
    if waiting is not None:
        since = f"{waiting.count} reminders wait since {waiting.since:%Y-%m-%d %H:%M}Z"
        print_note(f"note: {since}: `referrals.reminders` does not take them: {waiting.error}")
    if as_json:
        print_json([{**_document(each), "overdue": each.overdue(now)} for each in found])
    elif not found:
        print_line("no referral waits; `paycordon referral receive --help` says how to take one in")
    else:
        columns = ("referral", "state", "source", "reference", "identifiers", "merchants", "due", "left", "waits for")
        print_table(columns, [_row(each, now) for each in found])
    return FINDINGS if any(each.overdue(now) for each in found) else 0


def show(
    referral: ReferralId, by: ByOption, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Show a referral, whom its identifiers were seen with, what came of it, and its history; the look is recorded."""
    from paycordon.review import referring

    with at_restricted_work(config, by) as (_, store, person, now), store.write() as connection:
        found = referring.show(connection, referral, by=person, now=now)
    if as_json:
        more = {"seen": list(found.seen), "outcome": asdict(found.outcome)}
        print_json({**_document(found.referral), **more})
    else:
        _print(found)


def report(found: Referral, what: str, *, as_json: bool) -> None:
    """Say what became of a referral."""
    if as_json:
        print_json(_document(found))
        return
    due = "" if found.due_at is None else f", due {found.due_at:%Y-%m-%d %H:%M}Z"
    print_line(f"{found.id} {what}: it is `{found.state}`{due}")


def _about(digester: Digester, now: datetime, name: str, line: int, document: str) -> About:
    from pydantic import ValidationError

    from paycordon.cli.inputs import InputInvalid, invalid_at, model_of
    from paycordon.errors import FeedRefused, Position
    from paycordon.exchange.tip import Tip
    from paycordon.store.referrals import About

    tip = model_of(Tip, name, line, document)
    try:
        known = tuple(tip.indicators(digester))
    except ValidationError as invalid:
        raise invalid_at(invalid, name, line) from None
    except FeedRefused as refused:
        raise InputInvalid(str(refused), position=Position(name, line)) from None
    if unusual := tip.unusual():
        print_note(f"note: {name}:{line}: matched only as written: identifier {', '.join(map(str, unusual))}")
    merchants = tuple(dict.fromkeys(tip.merchants))
    return About(tip.source, tip.reference, tip.received_at or now, tip.category, tip.note, merchants, known)


def _row(each: Referral, now: datetime) -> tuple[object, ...]:
    about = each.about
    left = None if each.due_at is None else _words(each.due_at - now)
    waits = "a second person" if each.last.step == "propose" else None
    counts = (len(about.indicators), len(about.merchants))
    return (each.id, each.state, about.source, about.reference, *counts, each.due_at, left, waits)


def _words(left: timedelta) -> str:
    long = f"{abs(left).days} d" if abs(left).days else f"{abs(left).seconds // 3600} h"
    return long if left > timedelta(0) else f"over for {long}"


def _print(shown: Shown) -> None:
    found, about, outcome = shown.referral, shown.referral.about, shown.outcome
    print_fields(
        {
            "referral": found.id,
            "state": found.state,
            "source": about.source,
            "reference": about.reference,
            "received": about.received_at,
            "category": about.category or None,
            "note": about.note or None,
            "names": ", ".join(about.merchants) or None,
            "seen here with": ", ".join(shown.seen) or "nobody",
            "due": found.due_at,
        }
    )
    columns = ("kind", "digest", "confidence", "status", "tlp", "licence")
    if about.indicators:
        print_table(columns, [tuple(getattr(each, name) for name in columns) for each in about.indicators])
    print_table(("at", "step", "state", "by", "agreed by", "due", "reason", "more"), map(_line, found.history))
    if found.released_at is None:
        return
    if not outcome.decisions and not outcome.decided:
        print_line("nothing came of it yet")
    for hold in outcome.holds:
        released = f", released by {hold.released_by}" if hold.released_by else ""
        print_line(f"{hold.outcome} {hold.id} of {hold.merchant} by {hold.rule}{released}")
    for case in outcome.cases:
        print_line(f"case {case.id} of {case.merchant}: {case.resolution}")
    for told in outcome.contributions:
        print_line(f"{told.kind} {told.id} of {told.merchant} at {told.recipient}: {told.state}")


def _line(line: Line) -> tuple[object, ...]:
    more = ", ".join(f"{name} {value}" for name, value in line.detail.items() if isinstance(value, str | int))
    return (line.at, line.step, line.state, line.by, line.agreed_by, line.due_at, line.reason, more or None)


def _document(each: Referral) -> Mapping[str, Any]:
    return {**asdict(each), "released_at": each.released_at}
