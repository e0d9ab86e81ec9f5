"""`paycordon exchange draft`, `correct`, `retract`, `feedback`: tell others, and take back what they were told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from paycordon.cli.exchange import ContributionId
from paycordon.cli.identity import ByOption, ReasonOption, at_work, print_proposed, said, wish_of
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption
from paycordon.cli.output import print_json, print_line

if TYPE_CHECKING:
    from pydantic import BaseModel

    from paycordon.review.contributing import Drafted, Statement

    _M = TypeVar("_M", bound=BaseModel)

Words = Annotated[Path, typer.Argument(metavar="FILE", help="What is told, as YAML or JSON; `-` for stdin.")]
Independent = Annotated[
    str | None, typer.Option(help="How you know it otherwise than from a source that says it here too; kept for good.")
]
Unseen = Annotated[
    str | None, typer.Option(help="Why identifiers that were never seen with the merchant are theirs; kept for good.")
]


def draft(
    words: Words,
    by: ByOption,
    reason: ReasonOption,
    independent: Independent = None,
    unseen: Unseen = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Draft what a recipient is to be told; somebody else agrees, and a worker sends it."""
    from paycordon.exchange.drafts import Draft
    from paycordon.review import contributing

    wanted, stated, why = _read(words, Draft), _stated(independent, unseen), said(reason)
    with at_work(config, by) as (read, store, person):
        wish = wish_of(read, person, why)
        exchange = wish.exchange()
        with store.write() as connection:
            made = contributing.draft(connection, exchange, wanted, wish, stated)
    return _print(made, as_json)


def correct(
    contribution: ContributionId,
    words: Words,
    by: ByOption,
    reason: ReasonOption,
    independent: Independent = None,
    unseen: Unseen = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Draft a correction of what a recipient was told; what is left out stays as it was there."""
    from paycordon.exchange.drafts import DraftWords
    from paycordon.review import contributing

    wanted, stated, why = _read(words, DraftWords), _stated(independent, unseen), said(reason)
    with at_work(config, by) as (read, store, person):
        wish = wish_of(read, person, why)
        exchange = wish.exchange()
        with store.write() as connection:
            made = contributing.correct(connection, exchange, contribution, wanted, wish, stated)
    return _print(made, as_json)


def retract(
    contribution: ContributionId,
    by: ByOption,
    reason: ReasonOption,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="It was taken back at the recipient by people, and is only to be noted.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Draft to take back what a recipient was told; give up what it was not told yet."""
    from paycordon.review import contributing

    why = said(reason)
    with at_work(config, by) as (read, store, person):
        wish = wish_of(read, person, why)
        exchange = wish.exchange()
        with store.write() as connection:
            made = contributing.retract(connection, exchange, contribution, wish, by_hand=by_hand)
    if made is not None:
        return _print(made, as_json)
    if as_json:
        print_json({"contribution": contribution, "given_up": True})
    else:
        print_line(f"{contribution} is given up: nothing had been sent")
    return 0


def feedback(
    source: Annotated[str, typer.Argument(help="Whose indicator it is.")],
    reference: Annotated[str, typer.Argument(help="The source's name of it, as `paycordon indicator list` shows it.")],
    worth: Annotated[str, typer.Argument(help="useful, not_useful or false_positive.")],
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Tell a source what you made of one of its indicators; takes one person."""
    from paycordon.cli.inputs import checked
    from paycordon.exchange.contract import Worth
    from paycordon.review import contributing

    checked(f"the worth is one of {', '.join(Worth)}", worth in set(Worth))
    why = said(reason)
    with at_work(config, by) as (read, store, person):
        wish = wish_of(read, person, why)
        exchange = wish.exchange()
        with store.write() as connection:
            made = contributing.feedback(connection, exchange, source, reference, Worth(worth), wish)
    if as_json:
        print_json({"message": made.id, "recipient": made.recipient, "about": made.about})
    else:
        print_line(f"{made.id}: `{made.recipient}` is told by a worker (`paycordon work`)")


def _read(path: Path, model: type[_M]) -> _M:
    from paycordon.cli.inputs import InputInvalid, read_text
    from paycordon.documents import document_from, validate

    name, text = read_text(path)
    return validate(model, document_from(text.encode(), name, error=InputInvalid), error=InputInvalid)


def _stated(independent: str | None, unseen: str | None) -> Statement:
    from paycordon.review.contributing import Statement

    return Statement(
        None if independent is None else said(independent, "--independent"),
        None if unseen is None else said(unseen, "--unseen"),
    )


def _print(made: Drafted, as_json: bool) -> int:
    from dataclasses import asdict

    if as_json:
        drafted: dict[str, Any] = {"contribution": made.message.contribution, "message": made.message.id}
        items = [{"kind": kind, "seen": seen} for kind, seen in made.seen]
        print_json({**drafted, "items": items, "proposed": asdict(made.proposal)})
        return 1
    print_line(f"drafted {made.message.contribution}: `{made.message.verb}` at `{made.message.recipient}`")
    for number, (kind, seen) in enumerate(made.seen, start=1):
        print_line(f"  item {number}: {kind}, {'seen with the merchant' if seen else 'never seen with the merchant'}")
    print_line(f"read it as `paycordon exchange show {made.message.contribution} --by NAME` before you agree")
    return print_proposed(made.proposal, as_json)
