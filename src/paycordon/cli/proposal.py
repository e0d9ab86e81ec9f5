"""`paycordon proposal`: what one person wants and another must agree to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_work, said, wish_of
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_json, print_line, print_table
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from paycordon.review.proposals import Wish
    from paycordon.store import Store
    from paycordon.store.proposals import Proposal

_WORDS = ("contribution", "correction", "retraction")
ProposalIds = Annotated[
    list[str], typer.Argument(metavar="ID...", help="The proposals, as `paycordon proposal list` names them.")
]


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
    ids: ProposalIds,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Agree to what somebody else proposed; done at once. Of several, each by itself; exit code 1 if one failed."""
    return _decide(ids, by, reason, config, as_json, agreed=True)


def decline(
    ids: ProposalIds,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Decline a proposal, or take your own back. Of several, each by itself; exit code 1 if one failed."""
    return _decide(ids, by, reason, config, as_json, agreed=False)


def _decide(ids: Sequence[str], by: str, reason: str, path: Path, as_json: bool, *, agreed: bool) -> int:
    from paycordon.errors import Conflict, NotFound

    why = said(reason)
    done: list[Proposal] = []
    failed: list[dict[str, str]] = []
    with at_work(path, by) as (config, store, person):
        for each in dict.fromkeys(ids):
            try:
                done.append(_decided(store, each, wish_of(config, person, why), agreed=agreed))
            except (Conflict, NotFound) as error:
                if len(ids) == 1:
                    raise
                failed.append({"id": each, "error": str(error)})
    if as_json:
        shown = [asdict(each) for each in done]
        print_json(shown[0] if len(ids) == 1 else [*shown, *failed])
        return FINDINGS if failed else 0
    for found in done:
        print_line(f"{found.state} {found.id}: {found.kind} of {found.subject_id}")
    for wrong in failed:
        print_line(f"left {wrong['id']} as it is: {wrong['error']}")
    for follows in dict.fromkeys(_follows(each) for each in done if agreed):
        print_line(follows)
    return FINDINGS if failed else 0


def _decided(store: Store, proposal: str, wish: Wish, *, agreed: bool) -> Proposal:
    from paycordon.review import proposals
    from paycordon.store.proposals import get

    with store.read() as connection:
        known = get(connection, proposal, wish.now)
    if agreed and known.kind in _WORDS:
        exchange = wish.exchange()  # not within the transaction, which screenings would wait for
        wish = replace(wish, exchange=lambda: exchange)
    with store.write() as connection:
        return (proposals.agree if agreed else proposals.decline)(connection, proposal, wish)


def _follows(agreed: Proposal) -> str:
    """Say what comes after an agreement."""
    if agreed.kind == "referral":
        return "nothing was sent: send it, and note in the case that you did"
    if agreed.kind in _WORDS:
        return "a worker (`paycordon work`) tells the recipient"
    if agreed.kind == "indicator":
        return "a worker (`paycordon work`) screens whoever is known by it"
    return "a worker (`paycordon work`) makes the gateways agree"


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
