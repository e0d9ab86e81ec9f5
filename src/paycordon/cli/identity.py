"""Who is at the keyboard, for the commands that write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.people import Person

ByOption = Annotated[str, typer.Option(help="Who does it; kept for good.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept for good, never shown to the merchant.")]


def acting(config: Config, by: str) -> Person:
    """Return the person who gives a command, recognised by the token in `PAYCORDON_TOKEN`.

    Raises:
        Forbidden: the configuration names people, and this is none of them, or the token is not theirs.
        InputInvalid: no name was given.
    """
    from paycordon.cli.inputs import checked
    from paycordon.recognition import TOKEN_VARIABLE, recognised

    checked("`--by` must say something", bool(by.strip()))
    return recognised(config, by.strip(), os.environ.get(TOKEN_VARIABLE))


def check_reason(reason: str) -> str:
    """Return a reason without the space around it.

    Raises:
        InputInvalid: it is empty, or looks like it holds a card number.
    """
    from paycordon.cardnumbers import looks_like_card_number
    from paycordon.cli.inputs import checked

    checked("`--reason` must say something", bool(reason.strip()))
    checked("`--reason` looks like it holds a card number, which is never taken", not looks_like_card_number(reason))
    return reason.strip()
