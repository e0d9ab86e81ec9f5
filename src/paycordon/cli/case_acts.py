"""What `paycordon case` does with a case: each takes who and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.case import CaseId
from paycordon.cli.identity import ByOption, ReasonOption, at_work, print_proposed, said, wish_of
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from paycordon.cli.output import print_json, print_line

if TYPE_CHECKING:
    from paycordon.store.cases import Case

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_LONGEST = 1_000


def note(
    case_id: CaseId,
    text: Annotated[str, typer.Option(help="What is to be known; kept for good, never shown to the merchant.")],
    by: ByOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Add a note to a case."""
    from paycordon.review import actions
    from paycordon.screening import utc_now

    words = said(text, "--text")
    with at_work(config, by) as (_, store, person), store.write() as connection:
        case = actions.note(connection, case_id, by=person, text=words, now=utc_now())
    print_case(case, as_json)


def attach(
    case_id: CaseId,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="A URI or the id of a ticket.")],
    text: Annotated[str, typer.Option(help="What it is.")],
    by: ByOption,
    sha256: Annotated[str | None, typer.Option(help="The SHA-256 of what is there, in hexadecimal.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Note where something is kept that belongs to the case. The content itself is never taken."""
    import re

    from paycordon.cli.inputs import checked
    from paycordon.review import actions
    from paycordon.screening import utc_now

    words, where = said(text, "--text"), said(reference, "REFERENCE")
    short = len(where) <= _LONGEST and where.isprintable() and " " not in where and not where.startswith("data:")
    checked("REFERENCE is a URI or the id of a ticket, not the content itself", short)
    right = sha256 is None or re.fullmatch(r"[0-9a-f]{64}", sha256) is not None
    checked("`--sha256` has 64 hexadecimal digits in lower case", right)
    with at_work(config, by) as (_, store, person), store.write() as connection:
        case = actions.attach(connection, case_id, reference=where, sha256=sha256, by=person, text=words, now=utc_now())
    print_case(case, as_json)


def release(
    case_id: CaseId, by: ByOption, reason: ReasonOption, yes: YesOption = False,
    config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False,
) -> int:  # fmt: skip
    """Release all holds of a case, which closes it. Those that take two people are proposed (exit code 1)."""
    from paycordon.cli.hold_acts import release as release_holds
    from paycordon.review import actions
    from paycordon.screening import utc_now
    from paycordon.store import cases, holds

    why = said(reason)
    with at_work(config, by) as (_, store, person), store.write() as connection:
        held = holds.listed(connection, merchant=cases.get(connection, case_id).merchant, limit=1)
        if not held:
            case = actions.close_unheld(connection, case_id, by=person, reason=why, now=utc_now())
    if held:
        return release_holds(by, why, case=case_id, yes=yes, config=config, as_json=as_json)
    print_case(case, as_json)
    return 0


def block(
    case_id: CaseId,
    merchant_reason: Annotated[str, typer.Option(metavar="CODE", help="What the merchant hears: a neutral code.")],
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Propose to block the merchant of a case for good; another person must agree."""
    from paycordon.cli.hold_acts import place
    from paycordon.cli.options import open_store
    from paycordon.store import cases

    store = open_store(config)
    try:
        with store.read() as connection:
            merchant = cases.get(connection, case_id).merchant
    finally:
        store.close()
    return place(by, reason, merchant_reason, merchant=merchant, outcome="block", config=config, as_json=as_json)


def refer(
    case_id: CaseId,
    to: Annotated[str, typer.Option(help="To whom outside.")],
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Propose to refer a case to somebody outside. Nothing is sent; another person must agree."""
    from paycordon.review import proposals

    why, whom = said(reason), said(to, "--to")
    with at_work(config, by) as (read, store, person), store.write() as connection:
        made = proposals.refer(connection, case_id, whom, wish_of(read, person, why))
    return print_proposed(made, as_json)


def request_information(
    case_id: CaseId, by: ByOption, reason: ReasonOption, config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Let a case wait for somebody's answer; whatever happens next opens it again."""
    from paycordon.review.actions import request_information as act

    _act(act, case_id, by, reason, config, as_json)


def escalate(
    case_id: CaseId, by: ByOption, reason: ReasonOption, config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Raise a case to others: it becomes more urgent."""
    from paycordon.review.actions import escalate as act

    _act(act, case_id, by, reason, config, as_json)


def resume(
    case_id: CaseId, by: ByOption, reason: ReasonOption, config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Take up a case that waited or was escalated."""
    from paycordon.review.actions import resume as act

    _act(act, case_id, by, reason, config, as_json)


def reopen(
    case_id: CaseId, by: ByOption, reason: ReasonOption, config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Open a closed case again."""
    from paycordon.review.actions import reopen as act

    _act(act, case_id, by, reason, config, as_json)


def _act(act: Callable[..., Any], case_id: str, by: str, reason: str, path: Path, as_json: bool) -> None:
    from paycordon.screening import utc_now

    why = said(reason)
    with at_work(path, by) as (_, store, person), store.write() as connection:
        case = act(connection, case_id, by=person, reason=why, now=utc_now())
    print_case(case, as_json)


def print_case(case: Case, as_json: bool, more: str | None = None) -> None:
    """Say where a case stands."""
    if as_json:
        print_json(asdict(case))
        return
    who = f", {case.assignee} works on it" if case.assignee else ""
    told = f" ({case.resolution})" if case.resolution else ""
    print_line(f"{case.id} of merchant {case.merchant} is {case.state}{told}, priority {case.priority}{who}")
    if more is not None:
        print_line(more)
