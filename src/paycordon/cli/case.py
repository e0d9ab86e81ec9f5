"""`paycordon case list` and `paycordon case show`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store
from paycordon.cli.output import print_fields, print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.store.cases import Case, CaseEvent
    from paycordon.store.holds import Hold
    from paycordon.store.proposals import Proposal

CaseId = Annotated[str, typer.Argument(metavar="ID", help="The case, as `paycordon case list` names it.")]


def list_cases(
    merchant: Annotated[str | None, typer.Option(help="About this merchant only.")] = None,
    assignee: Annotated[str | None, typer.Option(help="Those that this person works on.")] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="`open`, `waiting`, `escalated` or `closed`; several times for several.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include closed cases.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List cases, what is to be done first at the front: by priority, then by deadline, then by age."""
    from paycordon.cli.inputs import checked
    from paycordon.store.cases import State, queue

    known = [each.value for each in State]
    checked(f"`--state` is one of {', '.join(known)}", all(each in known for each in state or ()))
    wanted = tuple(State(each) for each in state or known if state or everything or each != State.CLOSED)
    store = open_store(config)
    try:
        with store.read() as connection:
            found = queue(connection, states=wanted, merchant=merchant, assignee=assignee, limit=limit)
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("no case is to be looked at; a decision of `review` or above opens one")
        print_line("`--all` shows closed cases too; `paycordon hold list` shows what is held")
    else:
        columns = ("case", "priority", "merchant", "state", "works on it", "due", "opened", "resolution")
        print_table(columns, [_row(each) for each in found])


def show(case_id: CaseId, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show a case: what is held of its merchant, what is proposed, and everything that happened."""
    from paycordon.screening import utc_now
    from paycordon.store import cases, holds, proposals

    store = open_store(config)
    try:
        with store.read() as connection:
            case = cases.get(connection, case_id)
            held = holds.listed(connection, merchant=case.merchant)
            proposed = proposals.listed(connection, utc_now(), merchant=case.merchant)
            lines = cases.timeline(connection, case_id)
    finally:
        store.close()
    if as_json:
        parts: dict[str, Any] = {"holds": held, "proposals": proposed, "timeline": lines}
        print_json({"case": asdict(case), **{name: [asdict(each) for each in part] for name, part in parts.items()}})
        return
    print_fields({name.replace("_", " "): value for name, value in asdict(case).items()})
    if held:
        print_table(("hold", "outcome", "rule", "since", "release takes"), [_held(each) for each in held], title="Held")
    if proposed:
        print_table(("proposal", "kind", "by", "lapses"), [_proposed(each) for each in proposed], title="Proposed")
    print_table(("at", "what", "who", "note"), [_line(each) for each in lines], title="What happened")
    if case.state == "closed":
        print_line(f"closed; `paycordon case reopen {case.id} --by YOU --reason WHY` opens it again")
    else:
        print_line(f"next: `paycordon case release {case.id}` or `paycordon case uphold {case.id}`")


def _row(case: Case) -> tuple[object, ...]:
    return (
        case.id,
        case.priority,
        case.merchant,
        case.state,
        case.assignee,
        case.due_at,
        case.opened_at,
        case.resolution,
    )


def _held(hold: Hold) -> tuple[object, ...]:
    return hold.id, hold.outcome, hold.rule, hold.created_at, "two people" if hold.two_people else "one person"


def _proposed(proposal: Proposal) -> tuple[object, ...]:
    return proposal.id, proposal.kind, proposal.proposed_by, proposal.lapses_at


def _line(event: CaseEvent) -> tuple[object, ...]:
    told = [each for each in (event.decision_id, event.note, event.detail) if each]
    return event.at, event.kind, event.actor, "\n".join(told)
