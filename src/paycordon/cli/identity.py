"""Who runs a command: the one way in which commands that write find out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.exchange.sharing import Exchange
    from paycordon.people import Person
    from paycordon.review.proposals import Wish
    from paycordon.store import Store
    from paycordon.store.proposals import Proposal

_T = TypeVar("_T")
_LONGEST_NAME = 255
_LONGEST_REASON = 4_000

ByOption = Annotated[str, typer.Option(help="Who you are; kept for good. PAYCORDON_TOKEN holds your token.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept for good, never shown to the merchant.")]


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


@contextmanager
def at_work(path: Path, by: str) -> Iterator[tuple[Config, Store, Person]]:
    """Open the store that a configuration names, for a person who is recognised first.

    Raises:
        ConfigError, Forbidden, StoreUnavailable: as the parts do.
    """
    from paycordon.cli.options import read_config
    from paycordon.store import Store

    config = read_config(path)
    person = acting(config, by)
    store = Store.open(config.store)
    try:
        yield config, store, person
    finally:
        store.close()


def by_analyst(path: Path, by: str, reason: str, change: Callable[..., _T]) -> _T:
    """Let an analyst change something in one transaction: `change` is given it, and `by`, `reason` and `now`.

    Raises:
        ConfigError, Forbidden, StoreUnavailable: as the parts do; and whatever the change raises.
    """
    from paycordon.people import Role
    from paycordon.screening import utc_now

    why = said(reason)
    with at_work(path, by) as (_, store, person):
        person.require(Role.ANALYST)
        with store.write() as connection:
            return change(connection, by=person.name, reason=why, now=utc_now())


@contextmanager
def at_restricted_work(path: Path, by: str) -> Iterator[tuple[Config, Store, Person, datetime]]:
    """As `at_work`, with the time, for somebody of the role `restricted`: nothing is looked up for others.

    Raises:
        ConfigError, Forbidden, StoreUnavailable: as the parts do.
    """
    from paycordon.people import Role
    from paycordon.screening import utc_now

    with at_work(path, by) as (read, store, person):
        person.require(Role.RESTRICTED)
        yield read, store, person, utc_now()


def wish_of(config: Config, by: Person, reason: str) -> Wish:
    """Say who wants something and why, now."""
    import secrets

    from paycordon.review.proposals import Wish
    from paycordon.screening import utc_now
    from paycordon.spans import deadline

    now = utc_now()

    def exchange() -> Exchange:
        from paycordon.plugins import load, open_exchange

        return open_exchange(config, load(config))

    spans = (config.review.proposal, config.review.released, config.review.cleared)
    lifetime, rules, indicators = (deadline(now, span) - now for span in spans)
    return Wish(by, reason, now, secrets.token_bytes, lifetime, rules, indicators, exchange)


def moment(text: str, option: str) -> datetime:
    """Read a day or a time with its zone.

    Raises:
        PaycordonError: it is neither.
    """
    from pydantic import TypeAdapter, ValidationError

    from paycordon.errors import PaycordonError
    from paycordon.policy.document import Moment

    try:
        found = TypeAdapter[datetime | None](Moment).validate_python(text)
    except ValidationError:
        found = None
    if found is None:
        hint = "such as `2027-01-31` or `2027-01-31T00:00:00Z`"
        raise PaycordonError(f"`{option}` is not a day or a time with its zone, {hint}")
    return found


def print_proposed(made: Proposal, as_json: bool) -> int:
    """Say that something waits for a second person, and what that one does; returns the exit code."""
    from dataclasses import asdict

    from paycordon.cli.output import print_json, print_line

    if as_json:
        print_json({"proposed": asdict(made)})
    else:
        print_line(f"proposed {made.id}: this takes two people, so nothing has happened yet")
        print_line(f"somebody else agrees by {made.lapses_at:%Y-%m-%d %H:%M}Z, or it lapses:")
        print_line(f"  paycordon proposal agree {made.id} --by NAME --reason WHY")
    return 1
