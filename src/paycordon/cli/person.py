"""`paycordon person`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line, print_note, print_table

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
    role: Annotated[list[str] | None, typer.Option(help="What the person may do; several times for several.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token, and print what goes into the configuration: its digest, never the token itself."""
    from paycordon.cli.inputs import checked
    from paycordon.people import Role
    from paycordon.recognition import TOKEN_VARIABLE, new_token

    roles = role or [Role.ANALYST.value]
    known = [each.value for each in Role]
    checked("the name of a person is lower-case letters, digits and `_`", _NAME.fullmatch(name) is not None)
    checked(f"`--role` is one of {', '.join(known)}", all(each in known for each in roles))
    made, digest = new_token()
    if as_json:
        print_json({"name": name, "roles": roles, "token": made, "token_sha256": digest})
        return
    print_note(f"for {name} alone, shown once; commands read it from {TOKEN_VARIABLE}:")
    print_line(made)
    print_note("for the configuration:")
    print_line("people:")
    print_line(f"  {name}: {{roles: [{', '.join(roles)}], token_sha256: {digest}}}")


def list_people(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List who may do what by hand."""
    people = read_config(config).people
    rows = [(name, [role.value for role in person.roles]) for name, person in people.items()]
    if as_json:
        print_json([{"name": name, "roles": roles} for name, roles in rows])
    elif not rows:
        print_line("the configuration names no people: whoever can read it is taken at their word")
        print_line("`paycordon person token NAME` makes a token and the line that names a person")
    else:
        print_table(("person", "roles"), [(name, ", ".join(roles)) for name, roles in rows])
