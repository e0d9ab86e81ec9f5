"""`paycordon hold`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_fields, print_json, print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from paycordon.decisions import Decision
    from paycordon.gateways import Restriction
    from paycordon.store.holds import Hold
    from paycordon.store.restrictions import RestrictionRow

HoldId = Annotated[str, typer.Argument(metavar="ID", help="The hold, as `paycordon hold list` names it.")]


def list_holds(
    merchant: Annotated[str | None, typer.Option(help="Holds on this merchant only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include holds that were released.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List holds, the oldest first."""
    from paycordon.store.holds import listed

    store = open_store(config)
    try:
        with store.read() as connection:
            holds = listed(connection, merchant=merchant, active_only=not everything)
    finally:
        store.close()
    if as_json:
        print_json([asdict(hold) for hold in holds])
    elif not holds:
        print_line("nothing is held" + (f" of merchant {merchant}" if merchant else ""))
        print_line("`--all` shows released holds too; `paycordon screen` judges an event")
    else:
        rows = [_row(hold) for hold in holds]
        print_table(("hold", "outcome", "stops", "merchant", "falls on", "rule", "since", "released"), rows)


def show(hold_id: HoldId, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show a hold, the decision behind it with its evidence, and how far the gateways agree."""
    from paycordon.cli.screen import described
    from paycordon.store.decisions import get as get_decision
    from paycordon.store.holds import get
    from paycordon.store.restrictions import of_hold
    from paycordon.store.snapshot import restriction_of

    store = open_store(config)
    try:
        with store.read() as connection:
            hold = get(connection, hold_id)
            decision = get_decision(connection, hold.decision_id) if hold.decision_id else None
            restrictions = of_hold(connection, hold)
            # What the holds ask for now; the stored wish is only brought up to date when a worker takes it up.
            wanted = [restriction_of(connection, r.merchant, r.instance, r.account) for r in restrictions]
    finally:
        store.close()
    if as_json:
        print_json(_document(hold, decision, restrictions))
        return
    print_fields(_fields(hold))
    if decision is not None:
        print_line(f"decided on {decision.event_type} {decision.event_id}, in {decision.elapsed_us / 1000:.1f} ms")
        print_fields(described(decision))
    _show_restrictions(restrictions, wanted)
    if hold.active and hold.two_people:
        print_line("its release takes two people: one proposes it, another agrees")
    if hold.active:
        print_line(f"to release it: paycordon hold release {hold.id} --by YOU --reason WHY")


def _row(hold: Hold) -> tuple[object, ...]:
    falls_on = f"{hold.subject_kind} {hold.subject_id} at {hold.instance}"
    released = f"{hold.released_at:%Y-%m-%d} by {hold.released_by}" if hold.released_at else None
    return hold.id, hold.outcome, hold.scope, hold.merchant, falls_on, hold.rule, hold.created_at, released


def _fields(hold: Hold) -> dict[str, object]:
    return {
        "hold": hold.id,
        "outcome": hold.outcome,
        "merchant": hold.merchant,
        "falls on": f"{hold.subject_kind} {hold.subject_id} at {hold.instance} (account {hold.account})",
        "scope": hold.scope,
        "rule": hold.rule,
        "placed by": hold.placed_by,
        "because": hold.internal_reason,
        "told to merchant": hold.merchant_reason or None,
        "since": hold.created_at,
        "released": hold.released_at,
        "released by": hold.released_by,
        "release reason": hold.release_reason,
    }


def _show_restrictions(restrictions: Sequence[RestrictionRow], wanted: Sequence[Restriction]) -> None:

    if not restrictions:
        print_line("no account of this merchant is known at a gateway")
        return
    rows = [
        (r.instance, r.account, w, r.applied, r.state, r.expires_at, r.last_error)
        for r, w in zip(restrictions, wanted, strict=True)
    ]
    columns = ("instance", "account", "wanted", "at the gateway", "state", "gateway ends it", "last error")
    print_table(columns, rows, title="Accounts of this merchant")


def _document(hold: Hold, decision: Decision | None, restrictions: Sequence[RestrictionRow]) -> dict[str, Any]:
    return {
        "hold": asdict(hold),
        "decision": decision.model_dump(mode="json") if decision else None,
        "restrictions": [asdict(each) for each in restrictions],
    }
