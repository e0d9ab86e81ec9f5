"""`paycordon withdrawal`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, ReasonOption
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import console, plain, print_fields, print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.store.withdrawals import Item, Withdrawal

_SHOWN = 50
_COLUMNS = (
    *("decision", "how", "merchant", "instance", "event", "event_type", "outcome", "decided_at", "holds_in_force"),
    *("verdict", "holds"),
)
WithdrawalId = Annotated[str, typer.Argument(metavar="ID", help="The withdrawal, as `withdrawal list` names it.")]


def list_withdrawals(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List what was withdrawn or corrected, the newest first."""
    from paycordon.store.withdrawals import describe, listed, tally

    store = open_store(config)
    try:
        with store.read() as connection:
            found = [(each, tally(connection, each.id)) for each in listed(connection)]
    finally:
        store.close()
    if as_json:
        print_json([{**asdict(each), "decisions": counts} for each, counts in found])
    elif not found:
        print_line("nothing was withdrawn; `paycordon indicator withdraw` and `withdrawal policy` begin a withdrawal")
    else:
        rows = [
            (each.id, each.change, describe(each), each.withdrawn_by, each.at, _counted(counts), each.finished_at)
            for each, counts in found
        ]
        print_table(("withdrawal", "change", "of", "by", "at", "decisions", "judged"), rows)


def show(
    withdrawal_id: WithdrawalId,
    to: Annotated[Path | None, typer.Option("--csv", help="Write the whole list there as CSV; `-` is stdout.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the decisions that used what was withdrawn, and what became of their holds."""
    from paycordon.store.withdrawals import get, items, tally

    store = open_store(config)
    try:
        with store.read() as connection:
            withdrawal, counts = get(connection, withdrawal_id), tally(connection, withdrawal_id)
            found = items(connection, withdrawal_id)
            if to is not None:
                _write_csv(to, found)
            elif as_json:
                print_json({**asdict(withdrawal), "decisions": counts, "items": [asdict(each) for each in found]})
            else:
                _show(withdrawal, counts, list(islice(found, _SHOWN)))
    finally:
        store.close()


def policy(
    by: ByOption,
    reason: ReasonOption,
    name: Annotated[str | None, typer.Option(help="The policy's name; with `--version`.")] = None,
    version: Annotated[int | None, typer.Option(help="Which version of it was wrong.")] = None,
    digest: Annotated[str | None, typer.Option(help="Its digest instead, or how that begins.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Withdraw a policy version that was wrong and is not in force any more; lists every decision that used it."""
    from paycordon.cli.identity import acting, said
    from paycordon.cli.inputs import checked
    from paycordon.people import Role
    from paycordon.review.withdrawal import policy_versions, withdraw_policy
    from paycordon.screening import utc_now
    from paycordon.store.withdrawals import count, judged_under

    named = (name is not None and version is not None) != (digest is not None)
    checked("name the policy by `--name` and `--version`, or by `--digest`", named)
    person, why = acting(read_config(config), by), said(reason)
    person.require(Role.APPROVER)
    store = open_store(config)
    try:
        with store.read() as connection:
            known = policy_versions(connection)
        wanted = [
            each.digest
            for each in known
            if (each.digest.startswith(digest) if digest else (each.name, each.version) == (name, str(version)))
        ]
        checked("no such policy version was ever in force; `paycordon policy history` lists the sets", bool(wanted))
        checked(f"several are meant, say which by `--digest`: {', '.join(wanted)}", len(wanted) == 1)
        with store.write() as connection:
            begun = withdraw_policy(connection, wanted[0], by=person.name, reason=why, now=utc_now())
            used = count(connection, begun.id)
        with store.read() as connection:
            judged = judged_under(connection, wanted[0])
    finally:
        store.close()
    if as_json:
        print_json({"id": begun.id, "digest": wanted[0], "decisions": used, "judged_while_in_force": judged})
        return
    print_line(f"withdrew {begun.detail['name']} version {begun.detail['version']}: {begun.id}")
    print_line(f"{used} decisions used it: paycordon withdrawal show {begun.id}")
    print_line(f"{judged} were made while it was in force; a backtest says what a corrected one makes of those")


def run(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Judge holds again now, instead of waiting for a worker; goes on where it was interrupted."""
    from paycordon.review.withdrawal import Rejudging
    from paycordon.screening import Cordon, utc_now
    from paycordon.store.engine import DEFAULT_PATIENCE

    loaded = read_config(config)
    cordon = Cordon.from_loaded(loaded, patience=DEFAULT_PATIENCE)
    steps = 0
    try:
        work = Rejudging(
            cordon.store, lambda: cordon.policies, unsupported=loaded.withdrawal.unsupported, clock=utc_now
        )
        with _progress() as advance:
            while work.step():
                steps += 1
                advance()
    finally:
        cordon.close()
    if as_json:
        print_json({"steps": steps})
    else:
        print_line(
            "judged" if steps else "nothing is left to be judged",
        )
        print_line("`paycordon withdrawal list` says what was found")


def release(
    withdrawal_id: WithdrawalId,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Release the holds that no rule asks for any more; proposes it where a release takes two people."""
    from paycordon.cli.identity import acting, said, wish_of
    from paycordon.cli.root import FINDINGS
    from paycordon.review.withdrawal import release_unsupported

    loaded = read_config(config)
    wish = wish_of(loaded, acting(loaded, by), said(reason))
    store = open_store(config)
    try:
        released, proposed = release_unsupported(store, withdrawal_id, wish)
    finally:
        store.close()
    if as_json:
        print_json({"released": released, "proposed": proposed})
        return FINDINGS if proposed else 0
    print_line(f"released {len(released)}, proposed the release of {len(proposed)}")
    if proposed:
        print_line("somebody else agrees to each by `paycordon proposal agree`; `paycordon proposal list` lists them")
    return FINDINGS if proposed else 0


def _show(withdrawal: Withdrawal, counts: dict[str, int], found: list[Item]) -> None:
    from paycordon.store.withdrawals import describe

    print_fields(
        {
            "withdrawal": withdrawal.id,
            withdrawal.change.value: describe(withdrawal),
            "by": withdrawal.withdrawn_by,
            "why": withdrawal.reason,
            "at": withdrawal.at,
            "decisions": _counted(counts),
            "judged": withdrawal.finished_at or "not all of them yet; `paycordon withdrawal run` does it now",
        }
    )
    if not found:
        print_line("no decision used it")
        return
    columns = ("decision", "how", "merchant", "on", "outcome", "at", "in force", "verdict")
    print_table(
        columns,
        [
            (i.decision_id, i.how, i.merchant, i.event_type, i.outcome, i.decided_at, i.active_holds, i.verdict)
            for i in found
        ],
    )
    if sum(counts.values()) > len(found):
        print_line(f"these are the first {len(found)}; `--csv FILE` and `--json` give all")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items()) or "none"


def _write_csv(to: Path, found: Iterator[Item]) -> None:
    from paycordon.errors import ConfigError, Position

    try:
        if str(to) == "-":
            _rows(sys.stdout, found)
            return
        with to.open("w", newline="", encoding="utf-8") as file:
            _rows(file, found)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot be written: {reason}", position=Position(to)) from None


def _rows(file: Any, found: Iterator[Item]) -> None:
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    for i in found:
        holds = " ".join(f"{each['hold']}={each['verdict']}" for each in i.holds)
        row = (i.decision_id, i.how, i.merchant, i.instance, i.event_id, i.event_type, i.outcome)
        writer.writerow([*map(_cell, row), i.decided_at.isoformat(), i.active_holds, i.verdict or "", holds])


def _cell(value: str) -> str:
    """Keep a spreadsheet from taking an id that a gateway or merchant chose for a formula."""
    shown = plain(value)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


@contextmanager
def _progress() -> Iterator[Any]:
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging again", total=None)
        yield lambda: bar.advance(task)
