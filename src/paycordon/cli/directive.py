"""`paycordon directive`: what authorities ask for, for the role `restricted` alone.

Who has not the role is told so before anything is looked up: the answer is the same whether there is one or not.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_restricted_work, moment, said
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from paycordon.cli.output import print_fields, print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.store.covert import Covert
    from paycordon.store.directives import Directive, Kind

DirectiveId = Annotated[str, typer.Argument(metavar="ID", help="The directive, as `directive list` names it.")]
MerchantOption = Annotated[str, typer.Option(help="Whom it concerns; the facilitator's id of the merchant.")]
AccountOption = Annotated[
    str | None, typer.Option(metavar="INSTANCE/ACCOUNT", help="The only account that it concerns; all without it.")
]
AgencyOption = Annotated[str, typer.Option(help="Which authority asks.")]
ReferenceOption = Annotated[str, typer.Option(help="The authority's own name for its request.")]
UntilOption = Annotated[str, typer.Option(metavar="TIME", help="When it ends: `2027-01-31` or with a time and zone.")]
StartOption = Annotated[str | None, typer.Option("--from", metavar="TIME", help="When it starts; now without it.")]
NotifiedOption = Annotated[bool, typer.Option("--notified", help="The agency says that it has notified whom it must.")]
ConcurrenceOption = Annotated[bool, typer.Option("--concurrence", help="That office concurs, where it must.")]


def keep_open(
    merchant: MerchantOption,
    agency: AgencyOption,
    reference: ReferenceOption,
    until: UntilOption,
    by: ByOption,
    reason: ReasonOption,
    account: AccountOption = None,
    start: StartOption = None,
    notified: NotifiedOption = False,
    concurrence: ConcurrenceOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let a merchant go on as an authority asks in writing: what would be held is put before the role instead.

    Duties to report go on. Holds in force stay; release them as always, if they are to go.
    """
    from paycordon.store.directives import Kind

    letter = (merchant, account, agency, reference, start, until, notified, concurrence)
    _place(Kind.KEEP_OPEN, letter, config, by, reason, as_json=as_json)


def freeze(
    merchant: MerchantOption,
    agency: AgencyOption,
    reference: ReferenceOption,
    until: UntilOption,
    by: ByOption,
    reason: ReasonOption,
    account: AccountOption = None,
    start: StartOption = None,
    notified: NotifiedOption = False,
    concurrence: ConcurrenceOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Hold a merchant's payouts at once, as an authority orders; only the role releases them again."""
    from paycordon.store.directives import Kind

    letter = (merchant, account, agency, reference, start, until, notified, concurrence)
    _place(Kind.FREEZE, letter, config, by, reason, as_json=as_json)


def list_directives(
    by: ByOption,
    merchant: Annotated[str | None, typer.Option(help="Those about this merchant only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include those that have ended.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List directives, those that end first at the front; the look is recorded."""
    from paycordon.review import directives

    with at_restricted_work(config, by) as (_, store, person, now), store.write() as connection:
        found = directives.listed(connection, by=person, now=now, merchant=merchant, everything=everything)
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("no directive is in force; `paycordon directive keep-open --help` and `freeze --help` say how to")
    else:
        columns = ("directive", "kind", "merchant", "account", "agency", "reference", "until", "ended")
        print_table(columns, [_row(each) for each in found])


def show(
    directive: DirectiveId, by: ByOption, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Show a directive, what was really decided under it, and its restricted case; the look is recorded."""
    from paycordon.review import directives
    from paycordon.store import covert

    with at_restricted_work(config, by) as (_, store, person, now), store.write() as connection:
        found = directives.show(connection, directive, by=person, now=now)
        lines = covert.timeline(connection, found.directive.terms.merchant)
    if as_json:
        print_json({**asdict(found.directive), "covert": [_document(each) for each in found.covert], "case": lines})
        return
    terms = found.directive.terms
    print_fields({**asdict(terms), "hold": found.directive.hold, "placed by": found.directive.placed_by})
    print_fields({"ended at": found.directive.ended_at, "ended by": found.directive.ended_by})
    if found.covert:
        print_line("really decided:")
        print_table(("decision", "at", "event", "outcome", "rule", "since"), [_covert_row(c) for c in found.covert])
    else:
        print_line("nothing was found under it")
    print_table(("at", "kind", "decision", "who", "note"), [tuple(line.values()) for line in lines])


def renew(
    directive: DirectiveId,
    until: UntilOption,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let a directive end at another time, as a new letter of the authority says."""
    from paycordon.review import directives
    from paycordon.spans import deadline

    why, ends_at = said(reason), moment(until, "--until")
    with at_restricted_work(config, by) as (read, store, person, now), store.write() as connection:
        longest = deadline(now, read.directives.longest) - now
        renewed = directives.renew(connection, directive, ends_at, by=person, reason=why, now=now, longest=longest)
    _report(renewed, f"counts until {renewed.terms.ends_at:%Y-%m-%d %H:%M}Z", as_json=as_json)


def end(
    directive: DirectiveId,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """End a directive before its date; what it covered is judged again by a worker."""
    from paycordon.review import directives

    why = said(reason)
    with at_restricted_work(config, by) as (_, store, person, now), store.write() as connection:
        ended = directives.end(connection, directive, by=person, reason=why, now=now)
    _report(ended, "has ended", as_json=as_json)


def release(
    directive: DirectiveId,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Release what an order to freeze has held, once the order has ended."""
    from paycordon.review import directives

    why = said(reason)
    with at_restricted_work(config, by) as (_, store, person, now), store.write() as connection:
        released = directives.release_frozen(connection, directive, by=person, reason=why, now=now)
    if as_json:
        print_json(asdict(released))
    else:
        print_line(f"released {released.id} of {released.merchant}")


def verify(by: ByOption, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> int:
    """Verify the restricted log: its chain, what checkpoints commit to, and the real decisions. Exit code 1 if not."""
    from paycordon.record.checkpoints import load_private_key
    from paycordon.record.restrictedcheck import verify as verified

    with at_restricted_work(config, by) as (read, store, _, _), store.read() as connection:
        key = load_private_key(read.log_signing_key) if read.log_signing_key else None
        entries, problems = verified(connection, key)
    if as_json:
        print_json({"entries": entries, "problems": list(problems)})
    else:
        for problem in problems:
            print_line(problem)
        print_line(f"{entries} entries, {len(problems)} problems")
    return 1 if problems else 0


def _place(kind: Kind, letter: tuple[Any, ...], config: Path, by: str, reason: str, *, as_json: bool) -> None:
    from paycordon.review import directives
    from paycordon.spans import deadline
    from paycordon.store.directives import Terms

    merchant, account, agency, reference, start, until, notified, concurrence = letter
    why, ends_at = said(reason), moment(until, "--until")
    agency, reference = said(agency, "--agency"), said(reference, "--reference")
    with at_restricted_work(config, by) as (read, store, person, now):
        starts_at = now if start is None else moment(start, "--from")
        terms = Terms(kind, merchant, account or "", agency, reference, starts_at, ends_at, notified, concurrence)
        longest = deadline(starts_at, read.directives.longest) - starts_at
        with store.write() as connection:
            placed = directives.place(connection, terms, by=person, reason=why, now=now, longest=longest)
    _report(placed, f"counts from {starts_at:%Y-%m-%d %H:%M}Z until {ends_at:%Y-%m-%d %H:%M}Z", as_json=as_json)


def _report(directive: Directive, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(directive))
    else:
        print_line(f"{directive.id}: {directive.terms.kind} of {directive.terms.merchant} {what}")


def _row(directive: Directive) -> tuple[object, ...]:
    terms = directive.terms
    about = (terms.kind, terms.merchant, terms.account or None, terms.agency, terms.reference)
    return (directive.id, *about, terms.ends_at, directive.ended_at)


def _covert_row(each: Covert) -> tuple[object, ...]:
    decision = each.decision
    since = None if each.settled is None else each.settled.get("verdict")
    return decision.id, decision.decided_at, decision.event_id, decision.outcome, decision.rule or None, since


def _document(each: Covert) -> dict[str, Any]:
    decision = each.decision.model_dump(mode="json")
    return {"decision": decision, "settled_at": each.settled_at, "settled": each.settled}
