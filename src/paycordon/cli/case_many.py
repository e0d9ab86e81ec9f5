"""`paycordon case take`, `assign` and `uphold`: what people do to one case or to many."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.case_acts import YesOption, print_case
from paycordon.cli.identity import ByOption, ReasonOption, at_work, moment, said
from paycordon.cli.inputs import checked
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from paycordon.cli.output import print_json, print_line, print_note, progressing

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from paycordon.people import Person
    from paycordon.review.bulk import CaseSelection, CaseSummary
    from paycordon.store import Store
    from paycordon.store.cases import Case

    Act = Callable[[Connection, str], Case]

CaseIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="The cases; or say which by an option.", show_default=False),
]
RuleOption = Annotated[
    str | None, typer.Option(metavar="POLICY/RULE", help="Open cases of merchants that this rule holds.")
]
AssigneeOption = Annotated[str | None, typer.Option(help="Open cases that this person works on.")]
UnassignedOption = Annotated[bool, typer.Option("--unassigned", help="Open cases that nobody works on.")]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only those opened from then on.")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only those opened before then.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say which it would be, and do nothing.")]


def take(
    by: ByOption,
    case_ids: CaseIds = None,
    rule: RuleOption = None,
    assignee: AssigneeOption = None,
    unassigned: UnassignedOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Take a case, or many: you work on them from now on."""
    from paycordon.review import actions
    from paycordon.screening import utc_now

    chosen = _chosen(case_ids, (rule, assignee, unassigned, since, until))
    with at_work(config, by) as (_, store, person):

        def act(connection: Connection, id_: str) -> Case:
            return actions.assign(connection, id_, person.name, by=person, reason="", now=utc_now())

        return _do("take", act, chosen, (store, person), (dry_run, yes, as_json))


def assign(
    to: Annotated[str, typer.Option(help="Who is to work on it.")],
    by: ByOption,
    reason: ReasonOption,
    case_ids: CaseIds = None,
    rule: RuleOption = None,
    assignee: AssigneeOption = None,
    unassigned: UnassignedOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Let somebody else work on a case, or on many."""
    from paycordon.review import actions
    from paycordon.screening import utc_now

    why, name = said(reason), to.strip()
    checked("`--to` must name somebody, in 1 to 255 printable characters", 0 < len(name) < 256 and name.isprintable())
    chosen = _chosen(case_ids, (rule, assignee, unassigned, since, until))
    with at_work(config, by) as (read, store, person):
        checked(f"`people` names no `{name}`", not read.people or name in read.people)

        def act(connection: Connection, id_: str) -> Case:
            return actions.assign(connection, id_, name, by=person, reason=why, now=utc_now())

        return _do("assign", act, chosen, (store, person), (dry_run, yes, as_json))


def uphold(
    by: ByOption,
    reason: ReasonOption,
    case_ids: CaseIds = None,
    rule: RuleOption = None,
    assignee: AssigneeOption = None,
    unassigned: UnassignedOption = False,
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Close a case, or many, because what was decided stands: the holds stay, each with a new review date."""
    from paycordon.review import actions
    from paycordon.screening import utc_now
    from paycordon.spans import deadline

    why = said(reason)
    chosen = _chosen(case_ids, (rule, assignee, unassigned, since, until))
    with at_work(config, by) as (read, store, person):
        upheld = read.review.upheld

        def act(connection: Connection, id_: str) -> Case:
            now = utc_now()
            again = deadline(now, upheld)
            return actions.uphold(connection, id_, by=person, reason=why, now=now, review_at=again)

        told = f"holds stay, and are looked at again by {deadline(utc_now(), upheld):%Y-%m-%d}"
        return _do("uphold", act, chosen, (store, person), (dry_run, yes, as_json), told)


def _chosen(
    ids: list[str] | None, by: tuple[str | None, str | None, bool, str | None, str | None]
) -> list[str] | CaseSelection:
    from paycordon.review.bulk import CaseSelection

    rule, assignee, unassigned, since, until = by
    start = None if since is None else moment(since, "--since")
    end = None if until is None else moment(until, "--until")
    by_option, bounded = rule is not None or assignee is not None or unassigned, start is not None or end is not None
    clear = not (by_option or bounded) if ids else by_option
    checked("name cases by their ids, or by `--rule`, `--assignee` or `--unassigned`", clear)
    checked("`--assignee` and `--unassigned` exclude each other", assignee is None or not unassigned)
    return list(dict.fromkeys(ids)) if ids else CaseSelection(rule, assignee, unassigned, start, end)


def _do(
    action: str,
    act: Act,
    chosen: list[str] | CaseSelection,
    who: tuple[Store, Person],
    how: tuple[bool, bool, bool],
    told: str | None = None,
) -> int:
    """Do it to one case that was named as it always was, and to several after asking, each in its own transaction."""
    from paycordon.people import Role
    from paycordon.review.bulk import each_case, selected_cases
    from paycordon.store import cases

    (store, person), (dry_run, yes, as_json) = who, how
    person.require(Role.ANALYST)
    if isinstance(chosen, list) and len(chosen) == 1 and not dry_run:
        with store.write() as connection:
            print_case(act(connection, chosen[0]), as_json, told)
        return 0
    checked(
        "not asking without a terminal; confirm with `--yes`", yes or dry_run or (sys.stdin.isatty() and not as_json)
    )
    with store.read() as connection:
        if isinstance(chosen, list):
            ids = [cases.get(connection, id_).id for id_ in chosen]
        else:
            ids = list(selected_cases(connection, chosen))
    if dry_run:
        _print_dry(action, ids, as_json)
        return 0
    if ids and not yes:
        checked("nothing was done", typer.confirm(f"{action} {len(ids)} cases?", err=True))
    with progressing(action, len(ids)) as progress:
        summary = each_case(store, ids, act, progress)
    _print_summary(action, summary, as_json, told)
    return 1 if summary.refused else 0


def _print_dry(action: str, ids: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": True, "cases": ids})
        return
    print_line(f"{action}: {len(ids)} cases are meant" + (": " + ", ".join(ids) if ids else ""))
    print_line("nothing was done; without `--dry-run` it is")


def _print_summary(action: str, summary: CaseSummary, as_json: bool, told: str | None) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    total = len(summary.done) + len(summary.refused)
    if not total:
        print_line("no open case is meant; `paycordon case list` shows what is open")
        return
    print_line(f"{action}: done to {len(summary.done)} of {total} cases")
    if told is not None and summary.done:
        print_line(told)
    for id_, why in summary.refused.items():
        print_note(f"not done: {id_}: {why}")
