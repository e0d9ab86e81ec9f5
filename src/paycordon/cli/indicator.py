"""`paycordon indicator`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.identity import ByOption, ReasonOption
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import print_json, print_line, print_note, print_table
from paycordon.coalition.indicators import Tlp

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.events import Identifier

ValueFile = Annotated[
    Path | None,
    typer.Option("--value-file", help="Plain values, one a line; `-` is stdin. On a command line they would be kept."),
]
Kind = Annotated[str | None, typer.Option("--kind", help="What the values are, such as `email`, `iban`, `domain`.")]
CountryOption = Annotated[
    str | None, typer.Option("--country", help="Read telephone and tax numbers as of this country, such as `NL`.")
]
Source = Annotated[str, typer.Option(help="Who says so.")]
Reference = Annotated[str, typer.Option(help="The source's own name for this item.")]


def add(
    kind: Annotated[str, typer.Option(help="What the values are, such as `email`, `iban`, `domain`.")],
    value_file: Annotated[
        Path, typer.Option(help="Plain values, one a line; `-` is stdin. On a command line they would be kept.")
    ],
    source: Source,
    reference: Reference,
    confidence: Annotated[int, typer.Option(min=0, max=100, help="How sure the source is, 0 to 100.")],
    status: Annotated[
        str,
        typer.Option(
            help="How far it is established: `allegation`, `investigation`, `proceeding`, `conviction`, "
            "`network_listing`, `refuted`, or a word of the source's own."
        ),
    ],
    valid_until: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it ends, as `2027-01-31T00:00:00Z`.")
    ] = None,
    category: Annotated[str, typer.Option(help="What it is about, in the source's words.")] = "",
    tlp: Annotated[
        Tlp, typer.Option(help="With whom it may be shared (Traffic Light Protocol 2.0).")
    ] = Tlp.AMBER_STRICT,
    half_life: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="In so many days it loses half of its weight.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Under which terms the source gave it.")] = "",
    reshare: Annotated[bool, typer.Option(help="These terms allow it to be passed on.")] = False,
    country: CountryOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Add indicators, or replace what their source said before. Only keyed digests of the values are stored."""
    from paycordon.cli.inputs import checked
    from paycordon.events import IdentifierKind
    from paycordon.screening import utc_now
    from paycordon.store.indicators import Indicator, add_each

    named = (source.strip(), reference.strip(), status.strip())
    checked("`--source`, `--reference` and `--status` must say something", all(named))
    until = _time(valid_until) if valid_until else None
    digests = _digests(read_config(config), kind, value_file, country)
    indicators = [
        Indicator(
            kind,
            digest,
            named[0],
            named[1],
            confidence,
            named[2],
            valid_until=until,
            category=category.strip(),
            tlp=tlp.value,
            half_life_days=half_life,
            licence=licence.strip(),
            reshare=reshare,
        )
        for digest in digests
    ]
    store = open_store(config)
    try:
        with store.write() as connection:
            corrected = add_each(connection, indicators, utc_now())
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in indicators])
        return
    print_line(f"added {len(indicators)} of kind {kind} from {named[0]}")
    for withdrawal in corrected:
        print_line(f"decisions had used what it said before: paycordon withdrawal show {withdrawal.id}")
    if kind not in {str(each) for each in IdentifierKind}:
        print_note(f"note: `{kind}` is no kind that this version knows; it matches events of exactly that kind only")


def list_indicators(
    source: Annotated[str | None, typer.Option(help="Of this source only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include indicators that were withdrawn.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List indicators, as digests: the values themselves are not stored."""
    from paycordon.store.indicators import listed

    store = open_store(config)
    try:
        with store.read() as connection:
            found = listed(connection, source=source, counting_only=not everything, limit=limit)
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("no indicators; `paycordon indicator add --help` says how to add some")
    else:
        columns = ("kind", "digest", "source", "reference", "confidence", "status", "valid until", "withdrawn")
        rows = [
            (i.kind, i.digest, i.source, i.reference, i.confidence, i.status, i.valid_until, i.withdrawn_at)
            for i in found
        ]
        print_table(columns, rows)


def withdraw(
    source: Source,
    reference: Reference,
    by: ByOption,
    reason: ReasonOption,
    digest: Annotated[str | None, typer.Option(help="The digest, as `paycordon indicator list` shows it.")] = None,
    kind: Kind = None,
    value_file: ValueFile = None,
    country: CountryOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let indicators match nothing from now on, named by digest, or by kind and values; lists what used them.

    Holds they led to are judged again by a worker, or at once by `paycordon withdrawal run`.
    """
    from paycordon.cli.identity import acting, said
    from paycordon.cli.inputs import checked
    from paycordon.people import Role
    from paycordon.screening import utc_now
    from paycordon.store.indicators import Correction, withdraw_each
    from paycordon.store.withdrawals import count

    loaded = read_config(config)
    digests: Sequence[str] = [digest] if digest else []
    if kind and value_file and not digest:
        digests = _digests(loaded, kind, value_file, country)
    checked("name the indicator by `--digest`, or by `--kind` and `--value-file`", bool(digests))
    person, why = acting(loaded, by), said(reason)
    person.require(Role.ANALYST)
    correction = Correction(person.name, why)
    named = (source.strip(), reference.strip())
    store = open_store(config)
    try:
        with store.write() as connection:
            begun = withdraw_each(connection, digests, *named, utc_now(), correction=correction)
            found = {each.id: count(connection, each.id) for each in begun}
    finally:
        store.close()
    if as_json:
        withdrawals = [{"id": id_, "decisions": number} for id_, number in found.items()]
        print_json({"withdrawn": list(digests), "withdrawals": withdrawals})
        return
    print_line(f"withdrew {len(digests)}")
    for id_, number in found.items():
        print_line(f"{number} decisions used it: paycordon withdrawal show {id_}")
    if any(found.values()):
        print_line("a worker judges their holds again; `paycordon withdrawal run` does so now")


def _digests(config: Config, kind: str, path: Path, country: str | None = None) -> list[str]:
    """Read values, one a line, and return their digests, each once; either all are usable or none is taken."""
    from paycordon.cli.inputs import InputInvalid, read_text
    from paycordon.coalition.identifiers import is_valid
    from paycordon.errors import Position

    digester = config.digester()
    name, text = read_text(path)
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    read = [(number, _identifier(kind, value, name, number)) for number, value in lines if value]
    found: list[str] = []
    for number, identifier in read:
        try:
            found += digester.of_indicator(identifier, country)
        except ValueError as error:
            raise InputInvalid(f"the value {error}", position=Position(name, number)) from None
    unusual = [str(number) for number, identifier in read if not is_valid(identifier, country)]
    if unusual:
        shown = ", ".join(unusual[:10]) + (" …" if len(unusual) > 10 else "")
        print_note(f"note: no `{kind}` that this version knows, matched only as written: line {shown}")
    return list(dict.fromkeys(found))


def _identifier(kind: str, value: str, name: str, line: int) -> Identifier:
    from pydantic import ValidationError

    from paycordon.cardnumbers import looks_like_card_number
    from paycordon.cli.inputs import InputInvalid
    from paycordon.errors import Position
    from paycordon.events import Identifier, IdentifierKind

    place = Position(name, line)
    if kind not in (IdentifierKind.IBAN, IdentifierKind.PHONE) and looks_like_card_number(value):
        hint = "pass the gateway's token or fingerprint"
        raise InputInvalid("looks like a card number, which is never taken", position=place, hint=hint)
    try:
        return Identifier.model_validate({"kind": kind, "value": value})
    except ValidationError as invalid:
        field = invalid.errors(include_url=False, include_input=False)[0]["loc"]
        wrong = "`--kind` is not a kind of identifier" if "kind" in field else "the value is too long"
        raise InputInvalid(wrong, position=place) from None


def _time(text: str) -> datetime:
    from pydantic import TypeAdapter, ValidationError

    from paycordon.errors import PaycordonError
    from paycordon.events import UtcTime

    try:
        return TypeAdapter[datetime](UtcTime).validate_python(text)
    except ValidationError:
        raise PaycordonError("`--valid-until` is not a time with its zone, such as `2027-01-31T00:00:00Z`") from None
