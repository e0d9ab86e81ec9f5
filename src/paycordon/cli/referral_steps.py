"""`paycordon referral`: what is done with a tip, from the offer to law enforcement to the word to its source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_restricted_work, moment, said
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line
from paycordon.cli.referral import ReferralId, report
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from paycordon.review.referring import Doing
    from paycordon.store import Store
    from paycordon.store.referrals import Referral

FreedOption = Annotated[
    bool, typer.Option("--freed", help="Law enforcement has said that it lets go, although its time still runs.")
]
UntilOption = Annotated[str, typer.Option(metavar="TIME", help="When it ends: `2027-01-31` or with a time and zone.")]
MerchantsOption = Annotated[list[str] | None, typer.Option("--merchant", help="Whom it concerns, beside those named.")]
DirectivesOption = Annotated[
    list[str] | None,
    typer.Option("--directive", help="A keep-open request in force that says the same."),
]


def offer(
    referral: ReferralId,
    to: Annotated[str, typer.Option(help="To which authority.")],
    by: ByOption,
    reason: ReasonOption,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="By when it answers; `referrals.law_enforcement` without it.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Note that a referral was offered to law enforcement; until it answers or its time is over, nothing happens."""
    from paycordon.review import referring

    whom, ends_at = said(to, "--to"), None if until is None else moment(until, "--until")

    def act(connection: Connection, doing: Doing) -> Referral:
        return referring.offer(connection, referral, whom, doing, until=ends_at)

    report(_done(act, config, by, reason), f"was offered to {whom}", as_json=as_json)


def hold(
    referral: ReferralId,
    agency: Annotated[str, typer.Option(help="Which authority asks.")],
    reference: Annotated[str, typer.Option(help="The authority's own name for its request.")],
    until: UntilOption,
    by: ByOption,
    reason: ReasonOption,
    merchant: MerchantsOption = None,
    directive: DirectivesOption = None,
    notified: Annotated[bool, typer.Option("--notified", help="The agency has notified whom it must.")] = False,
    concurrence: Annotated[bool, typer.Option("--concurrence", help="That office concurs, where it must.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Hold a referral as law enforcement asks in writing: whom it concerns is kept open until a date, and no longer.

    Again with another letter, it moves the date.
    """
    from paycordon.review import referral_holds
    from paycordon.review.referral_holds import Letter

    letter = Letter(
        agency=said(agency, "--agency"),
        reference=said(reference, "--reference"),
        until=moment(until, "--until"),
        merchants=merchant or (),
        directives=directive or (),
        notification=notified,
        concurrence=concurrence,
    )

    def act(connection: Connection, doing: Doing) -> Referral:
        return referral_holds.hold(connection, referral, letter, doing)

    found = _done(act, config, by, reason)
    report(found, "is held", as_json=as_json)
    if not as_json:
        for whom, placed in found.last.detail["placed"].items():
            print_line(f"{whom} is kept open: paycordon directive show {placed} --by NAME")


def release(
    referral: ReferralId,
    by: ByOption,
    reason: ReasonOption,
    freed: FreedOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Release a referral: its identifiers are indicators from then on. The first of two people proposes it (exit 1).

    The second, an approver of the role `restricted`, runs the same command.
    """
    from paycordon.review import referral_release

    found = _done_in(
        lambda store, doing: referral_release.release(store, referral, doing, freed=freed), config, by, reason
    )
    if found.last.step == "release":
        report(found, f"is released, {found.last.detail['matches']} merchants were seen with it", as_json=as_json)
        if not as_json and found.last.detail["never_seen"]:
            print_line(f"was never seen here, so nobody looks: {', '.join(found.last.detail['never_seen'])}")
        return 0
    if as_json:
        print_json({"proposed": referral, "by": found.last.by, "matches": found.last.detail["matches"]})
    else:
        print_line("proposed: this takes two people, so nothing has happened yet")
        print_line(f"it would match {found.last.detail['matches']} merchants that were seen here; an approver agrees:")
        print_line(f"  paycordon referral release {referral} --by NAME --reason WHY")
    return FINDINGS


def acted(
    referral: ReferralId, by: ByOption, reason: ReasonOption, config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Note that people have acted on a released referral; the decisions, holds and cases are looked up and kept."""
    from paycordon.review import referring

    found = _done(lambda connection, doing: referring.act(connection, referral, doing), config, by, reason)
    did = found.last.detail
    what = f"led to {len(did['decisions'])} decisions, {len(did['holds'])} holds and {len(did['cases'])} closed cases"
    report(found, what, as_json=as_json)


def fed_back(
    referral: ReferralId,
    by: ByOption,
    reason: ReasonOption,
    worth: Annotated[
        str | None, typer.Option(help="A worker tells it by `exchange`: useful, not_useful or false_positive.")
    ] = None,
    told: Annotated[str | None, typer.Option(help="How its source was told otherwise, and what.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell the source of a referral what came of it, or note how it was told."""
    from paycordon.cli.inputs import checked
    from paycordon.exchange.contract import Worth
    from paycordon.plugins import load, open_exchange
    from paycordon.review import referral_release

    checked("say what the source is told (`--worth`), or how it was told (`--told`)", (worth is None) != (told is None))
    checked(f"the worth is one of {', '.join(Worth)}", worth is None or worth in set(Worth))
    what = said(told, "--told") if told is not None else Worth(str(worth))

    def act(connection: Connection, doing: Doing) -> Referral:
        read = read_config(config)
        return referral_release.feed_back(connection, referral, what, doing, lambda: open_exchange(read, load(read)))

    report(_done(act, config, by, reason), "is fed back", as_json=as_json)


def withdraw(
    referral: ReferralId, by: ByOption, reason: ReasonOption, config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Note that the source takes a referral back: its indicators are withdrawn, what rested on them judged again."""
    from paycordon.review import referral_release

    found = _done_in(lambda store, doing: referral_release.withdraw(store, referral, doing), config, by, reason)
    report(found, "is taken back", as_json=as_json)
    if not as_json and found.released_at is not None:
        print_line("a worker judges again what rested on it: paycordon withdrawal list")


def close(
    referral: ReferralId, by: ByOption, reason: ReasonOption, config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Close a referral without action; indicators that it has become go on counting."""
    from paycordon.review import referring

    found = _done(lambda connection, doing: referring.close(connection, referral, doing), config, by, reason)
    report(found, "is closed without action", as_json=as_json)


def undo(
    referral: ReferralId, by: ByOption, reason: ReasonOption, config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Take back the last step as recorded by mistake: an offer, a hold, a proposal, that people have acted, a closing.

    What a hold has placed ends with it.
    """
    from paycordon.review import referral_holds

    found = _done(lambda connection, doing: referral_holds.undo(connection, referral, doing), config, by, reason)
    report(found, "is where it was", as_json=as_json)


def _done(act: Callable[[Connection, Doing], Referral], config: Path, by: str, reason: str) -> Referral:
    """Do something in one transaction."""

    def within(store: Store, doing: Doing) -> Referral:
        with store.write() as connection:
            return act(connection, doing)

    return _done_in(within, config, by, reason)


def _done_in(act: Callable[[Any, Doing], Referral], config: Path, by: str, reason: str) -> Referral:
    from paycordon.review.referring import Doing, Practice

    why = said(reason)
    with at_restricted_work(config, by) as (read, store, person, now):
        return act(store, Doing(person, why, now, Practice.of(read)))
