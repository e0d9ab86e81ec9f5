"""`paycordon list`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import print_json, print_line, print_note, print_table
from paycordon.errors import ConfigError, PaycordonError

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.store.lists import StoredItem

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LONGEST = 255

Name = Annotated[str, typer.Argument(metavar="NAME", help="The list, as policies name it under `store`.")]
Value = Annotated[str | None, typer.Argument(metavar="[VALUE]", help="The value; for several give `--file`.")]
File = Annotated[Path | None, typer.Option(help="Values, one a line; `-` is stdin.")]
By = Annotated[str, typer.Option(help="Who does it; kept for good.")]
Reason = Annotated[str, typer.Option(help="Why; kept for good, never shown to the merchant.")]


def add(
    name: Name,
    reason: Reason,
    by: By,
    value: Value = None,
    file: File = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it ends: `2027-01-31` or `2027-01-31T00:00:00Z`.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Put values on a list; policies that use it see them within 5 s, without signatures."""
    from paycordon.screening import utc_now
    from paycordon.store.lists import add as add_items

    _check(name, by, reason)
    values, ends = _values(value, file), _time(until)
    store = open_store(config)
    try:
        with store.write() as connection:
            count = add_items(connection, name, values, by=by.strip(), reason=reason.strip(), until=ends, now=utc_now())
    finally:
        store.close()
    if as_json:
        print_json({"list": name, "added": count})
    else:
        print_line(f"{count} on the list {name}; running processes see that within 5 s")


def show(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One list; else all of them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include what was removed or has ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show what is on the lists in the store, since when, by whom and why."""
    from paycordon.screening import utc_now
    from paycordon.store.lists import listed

    store = open_store(config)
    try:
        with store.read() as connection:
            items = listed(connection, name, everything=everything, now=utc_now(), limit=limit)
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in items])
    elif not items:
        print_line("nothing; `paycordon list add --help` says how to put something on a list")
    else:
        columns = ("list", "value", "until", "added", "by", "removed", "by", "reason")
        print_table(columns, [_row(each) for each in items])


def remove(
    name: Name,
    reason: Reason,
    by: By,
    value: Value = None,
    file: File = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take values off a list: all of them, or none. That they were there, and why, stays.

    The log names the rules for the protection of children that use the list.
    """
    from paycordon.screening import utc_now
    from paycordon.store.lists import remove as remove_items

    _check(name, by, reason)
    values = _values(value, file)
    guarded = _guarded(read_config(config), name)
    store = open_store(config)
    try:
        with store.write() as connection:
            count = remove_items(
                connection, name, values, by=by.strip(), reason=reason.strip(), now=utc_now(), guarded=guarded
            )
    finally:
        store.close()
    if as_json:
        print_json({"list": name, "removed": count, "guarded": guarded})
        return
    print_line(f"{count} taken off the list {name}; running processes see that within 5 s")
    if guarded:
        print_note(f"note: rules for the protection of children use this list: {', '.join(guarded)}")


def _check(name: str, by: str, reason: str) -> None:
    from paycordon.cardnumbers import looks_like_card_number
    from paycordon.cli.inputs import checked

    checked("the name of a list is lower-case letters, digits and `_`", _NAME.fullmatch(name) is not None)
    checked("`--by` and `--reason` must say something", bool(by.strip() and reason.strip()))
    checked("`--reason` looks like it holds a card number, which is never taken", not looks_like_card_number(reason))


def _values(value: str | None, file: Path | None) -> list[str]:
    """Return what was given, each line on its own; either all are usable or none is taken."""
    from paycordon.cli.inputs import checked, read_text

    checked("give a value, or several by `--file`", (value is None) != (file is None))
    if file is None:
        return [_value(value or "", "<argument>", 1)]
    name, text = read_text(file)
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [_value(line, name, number) for number, line in lines if line]


def _value(value: str, name: str, line: int) -> str:
    from paycordon.cardnumbers import looks_like_card_number
    from paycordon.cli.inputs import InputInvalid
    from paycordon.errors import Position

    if not value.strip() or len(value) > _LONGEST:
        raise InputInvalid(f"a value has 1 to {_LONGEST} characters", position=Position(name, line))
    if looks_like_card_number(value):
        hint = "use the gateway's token or fingerprint"
        raise InputInvalid("looks like a card number, which is never taken", position=Position(name, line), hint=hint)
    return value.strip()


def _guarded(config: Config, name: str) -> Sequence[str]:
    """Return the rules for the protection of children that use a list, as the policy files are now."""
    from paycordon.policy import load_set
    from paycordon.policy.changes import used_by

    try:
        policies = load_set(config.policy_files()).policies
    except ConfigError:
        print_note("note: the policies cannot be read, so the log cannot name those that use the list")
        return []
    return [
        f"{rule.policy}/{rule.id}"
        for policy in policies
        for rule in policy.rules
        if rule.child_protection
        and any(root == "lists" and policy.stores.get(each) == name for root, each in used_by(policy, rule))
    ]


def _time(text: str | None) -> datetime | None:
    from pydantic import TypeAdapter, ValidationError

    from paycordon.policy.document import Moment

    if text is None:
        return None
    try:
        return TypeAdapter[datetime | None](Moment).validate_python(text)
    except ValidationError:
        hint = "such as `2027-01-31` or `2027-01-31T00:00:00Z`"
        raise PaycordonError(f"`--until` is not a day or a time with its zone, {hint}") from None


def _row(item: StoredItem) -> tuple[object, ...]:
    return (
        item.list,
        item.value,
        item.expires_at,
        item.added_at,
        item.added_by,
        item.removed_at,
        item.removed_by,
        item.reason,
    )
