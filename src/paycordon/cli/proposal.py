"""`paycordon proposal`: what one person wants and another must agree to."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_work, said, wish_of
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.store.proposals import Proposal

_WORDS = ("contribution", "correction", "retraction")
ProposalId = Annotated[str, typer.Argument(metavar="ID", help="The proposal, as `paycordon proposal list` names it.")]


def list_proposals(
    merchant: Annotated[str | None, typer.Option(help="About this merchant only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include what was decided or has lapsed.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List proposals that wait for a second person, the oldest first."""
    from paycordon.screening import utc_now
    from paycordon.store.proposals import listed

    store = open_store(config)
    try:
        with store.read() as connection:
            found = listed(connection, utc_now(), merchant=merchant, open_only=not everything)
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("nothing is proposed; releasing a hold that rests on the coalition's knowledge proposes it")
        print_line("`--all` shows what was decided or has lapsed")
    else:
        columns = ("proposal", "kind", "merchant", "about", "by", "lapses", "state", "reason")
        print_table(columns, [_row(each) for each in found])


def agree(
    proposal: ProposalId,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Agree to what somebody else proposed; it is done at once."""
    _decide(proposal, by, reason, config, as_json, agreed=True)


def decline(
    proposal: ProposalId,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Decline a proposal, or take your own back."""
    _decide(proposal, by, reason, config, as_json, agreed=False)


def _decide(proposal: str, by: str, reason: str, path: Path, as_json: bool, *, agreed: bool) -> None:
    from paycordon.review import proposals
    from paycordon.store.proposals import get

    why = said(reason)
    with at_work(path, by) as (config, store, person):
        wish = wish_of(config, person, why)
        with store.read() as connection:
            known = get(connection, proposal, wish.now)
        if agreed and known.kind in _WORDS:
            exchange = wish.exchange()  # not within the transaction, which screenings would wait for
            wish = replace(wish, exchange=lambda: exchange)
        with store.write() as connection:
            do = proposals.agree if agreed else proposals.decline
            found = do(connection, proposal, wish)
    if as_json:
        print_json(asdict(found))
        return
    print_line(f"{found.state} {found.id}: {found.kind} of {found.subject_id}")
    if agreed and found.kind == "referral":
        print_line("nothing was sent: send it, and note in the case that you did")
    elif agreed and found.kind in _WORDS:
        print_line("a worker (`paycordon work`) tells the recipient")
    elif agreed and found.kind == "indicator":
        print_line("a worker (`paycordon work`) screens whoever is known by it")
    elif agreed:
        print_line("a worker (`paycordon work`) makes the gateways agree")


def _row(proposal: Proposal) -> tuple[object, ...]:
    return (
        proposal.id,
        proposal.kind,
        proposal.merchant,
        proposal.subject_id,
        proposal.proposed_by,
        proposal.lapses_at,
        proposal.state,
        proposal.reason,
    )
