"""`paycordon retention` and `paycordon erase`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.identity import ByOption
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import console, print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.review.retention import Due


def report(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show how long each class of records is kept, what is past its time, and what is kept back."""
    from paycordon.review.retention import Retention
    from paycordon.screening import utc_now

    loaded = read_config(config)
    store = open_store(config)
    try:
        found = Retention(store, loaded.retention, utc_now).report()
    finally:
        store.close()
    _print_report(found, as_json)


def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Erase now what is past its time, instead of waiting for a worker; goes on where it was interrupted."""
    from paycordon.review.retention import Retention
    from paycordon.screening import utc_now

    loaded = read_config(config)
    store = open_store(config)
    try:
        work = Retention(store, loaded.retention, utc_now)
        before = work.report()
        pages = 0 if dry_run else work.run()
    finally:
        store.close()
    if dry_run:
        _print_report(before, as_json)
    elif as_json:
        print_json({"erased": {due.name: due.due for due in before if due.due}, "pages": pages})
    elif not any(due.due for due in before):
        print_line("nothing is past its time; `paycordon retention report` says what goes when")
    else:
        print_line(f"erased {', '.join(f'{due.due} {due.name}' for due in before if due.due)}")


def erase(
    merchant: Annotated[str, typer.Option(help="Whose data; the facilitator's id of the merchant.")],
    basis: Annotated[str, typer.Option(help="On what basis, such as a request and its date; kept for good.")],
    by: ByOption,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Erase what is stored about a merchant, but for what the law obliges to keep. Cannot be undone.

    Refused while a hold is in force, a case is open, a clock runs or a proposal waits. Opaque ids, digests and the log
    stay, so that the record can still be verified; backups and copies elsewhere are yours to erase.
    """
    from paycordon.cli.identity import acting, said
    from paycordon.cli.inputs import checked
    from paycordon.people import Role
    from paycordon.review.retention import erase_merchant
    from paycordon.screening import utc_now

    person, why = acting(read_config(config), by), said(basis, "--basis")
    person.require(Role.ADMIN)
    checked("not asking without a terminal; confirm with `--yes`", yes or (sys.stdin.isatty() and not as_json))
    if not yes:
        checked("not erased", typer.confirm(f"erase what is stored about {merchant}, for good?", err=True))
    store = open_store(config)
    try:
        with _progress() as progress:
            erased = erase_merchant(store, merchant, by=person.name, basis=why, clock=utc_now, progress=progress)
    finally:
        store.close()
    if as_json:
        print_json({"merchant": merchant, **asdict(erased)})
        return
    print_line(f"erased {erased.events} events, {erased.decisions} decisions and {erased.holds} holds of {merchant}")
    print_line("what the law obliges to keep is kept; backups and copies elsewhere are yours to erase")


def withheld(
    merchant: Annotated[str, typer.Option(help="Whose data; the facilitator's id of the merchant.")],
    by: ByOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show what an obligation keeps of a merchant although it was erased; takes the role `restricted`."""
    from paycordon.cli.identity import acting
    from paycordon.people import Role
    from paycordon.store.erasure import withheld as kept_of

    acting(read_config(config), by).require(Role.RESTRICTED)
    store = open_store(config)
    try:
        with store.read() as connection:
            found = kept_of(connection, merchant)
    finally:
        store.close()
    if as_json:
        print_json(found)
    elif not found:
        print_line(f"nothing is withheld of {merchant}; what is not erased yet is where it always is")
    else:
        print_table(("kind", "id", "text"), [(each["kind"], each["id"], each["body"]) for each in found])


def _print_report(found: list[Due], as_json: bool) -> None:
    if as_json:
        rows = [{**asdict(due), "period": due.period.days if due.period else None} for due in found]
        print_json(rows)
        return
    rows_ = [
        (due.name, f"{due.period.days} days" if due.period else "for good", due.due, due.kept_back, due.next_at)
        for due in found
    ]
    print_table(("class", "is kept", "past its time", "kept back", "next goes"), rows_)
    if not any(due.period for due in found):
        print_line("everything is kept for good; `retention:` in the configuration sets periods, such as `events: 5y`")


@contextmanager
def _progress() -> Iterator[Callable[[int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("erasing", total=None)
        yield lambda done: bar.update(task, completed=done)
