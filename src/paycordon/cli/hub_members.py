"""`paycordon hub`: who may ask, and who has asked how much."""

from __future__ import annotations

import json
import re
from typing import Annotated

import typer

from paycordon.cli.hub import DEFAULT_HUB, DirectoryOption, at_home
from paycordon.cli.options import JsonOption
from paycordon.cli.output import print_json, print_line, print_note, print_table

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
Member = Annotated[str, typer.Argument(metavar="NAME", help="The member.")]
Most = typer.Option(min=1, max=86_400_000, help="How many identifiers it may ask about in a day.")


def add_member(
    name: Member,
    per_day: Annotated[int | None, Most] = None,
    burst: Annotated[int | None, typer.Option(min=64, max=1_000_000, help="How many of them at once.")] = None,
    directory: DirectoryOption = DEFAULT_HUB,
    as_json: JsonOption = False,
) -> None:
    """Let a member ask, or give it a new token; prints the token, which is not kept."""
    from paycordon.cli.inputs import checked
    from paycordon.screening import utc_now

    checked("the name of a member is lower-case letters, digits and `_`", _NAME.fullmatch(name) is not None)
    with at_home(directory) as home:
        token = home.add_member(name, utc_now(), per_day, burst)
    if as_json:
        print_json({"name": name, "token": token})
        return
    print_note(f"for {name} alone, shown once; one that it had before does not count any more:")
    print_line(token)


def list_members(directory: DirectoryOption = DEFAULT_HUB, as_json: JsonOption = False) -> None:
    """List who may ask, and how often a limit has stopped them: who tries out a list shows there."""
    from paycordon.store.schema import from_micros

    with at_home(directory) as home:
        members = home.members()
    shown = [
        {name: each[name] for name in ("name", "per_day", "burst", "refused")}
        | {"added_at": from_micros(each["added_at"])}
        for each in members
    ]
    if as_json:
        print_json(shown)
    elif not shown:
        print_line("no members; `paycordon hub add-member NAME` adds one")
    else:
        rows = [[each[key] for key in ("name", "per_day", "burst", "refused", "added_at")] for each in shown]
        print_table(("member", "in a day", "at once", "stopped by the limit", "added"), rows)


def remove_member(name: Member, directory: DirectoryOption = DEFAULT_HUB, as_json: JsonOption = False) -> None:
    """Let a member ask no more, from its next request on."""
    from paycordon.screening import utc_now

    with at_home(directory) as home:
        home.remove_member(name, utc_now())
    if as_json:
        print_json({"removed": name})
    else:
        print_line(f"{name} may not ask any more")


def audit(
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The last so many entries.")] = 50,
    directory: DirectoryOption = DEFAULT_HUB,
    as_json: JsonOption = False,
) -> int:
    """Verify the audit and show its last entries: who asked when, and how much; never what."""
    from paycordon.store.schema import from_micros

    with at_home(directory) as home:
        wrong = home.ledger.verify()
        found = home.ledger.rows("SELECT * FROM audit ORDER BY seq DESC LIMIT ?", (limit,))
    entries = [
        {"seq": row["seq"], "at": from_micros(row["at"]), "what": row["kind"], **json.loads(row["payload"])}
        for row in reversed(found)
    ]
    head = bytes(found[0]["hash"]).hex() if found else None
    if as_json:
        print_json({"first_bad": wrong, "head": head, "entries": entries})
        return 0 if wrong is None else 1
    columns = ("seq", "at", "what", "member", "number", "epoch")
    print_table(columns, [[entry.get(column) for column in columns] for entry in entries])
    if wrong is not None:
        print_line(f"entry {wrong} is not what was written")
        return 1
    print_line(f"the chain is whole up to {head}; keep that elsewhere, and a shortened audit shows")
    return 0
