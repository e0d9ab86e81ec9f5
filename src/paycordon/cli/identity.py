"""Who runs a command: the one way in which commands that write find out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.people import Person

_LONGEST_NAME = 255
_LONGEST_REASON = 4_000

ByOption = Annotated[str, typer.Option(help="Who you are; kept for good. PAYCORDON_TOKEN holds your token.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept for good, never shown to the merchant.")]
AsOption = Annotated[str | None, typer.Option("--as", help="Who reads; PAYCORDON_TOKEN holds that person's token.")]


def acting(config: Config, by: str) -> Person:
    """Return the person that a command acts for, proved by the token in the environment.

    Raises:
        PaycordonError: the name is empty, too long or not printable.
        Forbidden: there is no such person, or the token is not theirs.
    """
    import os

    from paycordon.cli.inputs import checked
    from paycordon.recognition import TOKEN_VARIABLE, recognised

    name = by.strip()
    usable = bool(name) and len(name) <= _LONGEST_NAME and name.isprintable()
    checked(f"`--by` must name somebody, in 1 to {_LONGEST_NAME} printable characters", usable)
    return recognised(config, name, os.environ.get(TOKEN_VARIABLE))


def reading(config: Config, as_: str | None) -> Person | None:
    """Return the person that a command reads for; none if it was not said, who sees nothing restricted.

    Raises:
        PaycordonError: the name is empty, too long or not printable.
        Forbidden: there is no such person, or the token is not theirs.
    """
    return None if as_ is None else acting(config, as_)


def said(reason: str, option: str = "--reason") -> str:
    """Return free text that a person gave, ready to be kept.

    Raises:
        PaycordonError: it says nothing, is too long, or looks like it holds a card number.
    """
    from paycordon.cardnumbers import looks_like_card_number
    from paycordon.cli.inputs import checked

    text = reason.strip()
    checked(f"`{option}` must say something, in at most {_LONGEST_REASON} characters", 0 < len(text) <= _LONGEST_REASON)
    checked(f"`{option}` looks like it holds a card number, which is never taken", not looks_like_card_number(text))
    return text
