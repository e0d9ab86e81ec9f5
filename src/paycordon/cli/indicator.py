"""`paycordon indicator`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, ReasonOption
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import print_json, print_line, print_note, print_table
from paycordon.coalition.indicators import Tlp

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.events import Identifier
    from paycordon.store.indicators import Indicator

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
    by: ByOption,
    reason: ReasonOption,
    valid_from: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it begins: `2027-01-31` or with a time and zone.")
    ] = None,
    valid_until: Annotated[str | None, typer.Option(metavar="TIME", help="When it ends.")] = None,
    first_seen: Annotated[str | None, typer.Option(metavar="TIME", help="When the source first saw it in use.")] = None,
    last_seen: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it last did; from then on it loses weight.")
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
    from paycordon.cli.identity import acting, moment, said
    from paycordon.cli.inputs import checked
    from paycordon.events import IdentifierKind
    from paycordon.people import Role
    from paycordon.screening import utc_now
    from paycordon.store.indicators import Correction, Indicator, add_each

    named = (source.strip(), reference.strip(), status.strip())
    checked("`--source`, `--reference` and `--status` must say something", all(named))
    begins, ends, first, last = (
        moment(text, option) if text else None
        for text, option in (
            (valid_from, "--valid-from"),
            (valid_until, "--valid-until"),
            (first_seen, "--first-seen"),
            (last_seen, "--last-seen"),
        )
    )
    checked("`--valid-until` is not after `--valid-from`", begins is None or ends is None or begins < ends)
    checked("`--last-seen` is before `--first-seen`", first is None or last is None or first <= last)
    loaded = read_config(config)
    person, why = acting(loaded, by), said(reason)
    person.require(Role.ANALYST)
    keyed = _keyed(loaded, kind, value_file, country)
    indicators = [
        Indicator(
            kind,
            digest,
            named[0],
            named[1],
            confidence,
            named[2],
            valid_from=begins,
            valid_until=ends,
            first_seen=first,
            last_seen=last,
            category=category.strip(),
            tlp=tlp.value,
            half_life_days=half_life,
            licence=licence.strip(),
            reshare=reshare,
            former=former,
        )
        for digest, former in keyed.items()
    ]
    store = open_store(config)
    try:
        with store.write() as connection:
            corrected = add_each(connection, indicators, utc_now(), correction=Correction(person.name, why))
    finally:
        store.close()
    if as_json:
        print_json([_fields(each) for each in indicators])
        return
    print_line(f"added {len(indicators)} of kind {kind} from {named[0]}")
    for withdrawal in corrected:
        print_line(f"decisions had used what it said before: paycordon withdrawal show {withdrawal.id}")
    if kind not in {str(each) for each in IdentifierKind}:
        print_note(f"note: `{kind}` is no kind that this version knows; it matches events of exactly that kind only")


def list_indicators(
    source: Annotated[str | None, typer.Option(help="Of this source only.")] = None,
    digest: Annotated[str | None, typer.Option(help="All that is said of this one.")] = None,
    kind: Kind = None,
    value_file: ValueFile = None,
    country: CountryOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Include indicators that were withdrawn.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List indicators, as digests: the values themselves are not stored.

    With `--digest`, or `--kind` and `--value-file`, what all sources say of it, and of the domain or network around it;
    `comes to` is how sure it makes a finding now, 0 to 100. All fields are in `--json`.
    """
    from datetime import UTC, datetime

    from paycordon.cli.inputs import checked
    from paycordon.coalition.confidence import weighed
    from paycordon.store.indicators import listed

    checked("`--kind` and `--value-file` go together, and without `--digest`", _asked_once(digest, kind, value_file))
    loaded = read_config(config)
    digests = [digest] if digest else _known_as(loaded, kind, value_file, country)
    store = open_store(config)
    try:
        with store.read() as connection:
            found = listed(connection, source=source, digests=digests, counting_only=not everything, limit=limit)
    finally:
        store.close()
    weights = weighed(found, loaded.standards.trust_in, datetime.now(UTC))
    if as_json:
        print_json([_fields(each) | {"comes_to": weight} for each, weight in zip(found, weights, strict=True)])
    elif not found and digests is not None:
        print_line("no source says anything of it")
    elif not found:
        print_line("no indicators; `paycordon indicator add --help` says how to add some")
    else:
        columns = (
            *("kind", "digest", "source", "reference", "status", "confidence", "comes to"),
            *("valid until", "tlp", "category", "withdrawn"),
        )
        rows = [
            (
                *(i.kind, i.digest, i.source, i.reference, i.status, i.confidence, weight),
                *(i.valid_until, i.tlp, i.category, i.withdrawn_at),
            )
            for i, weight in zip(found, weights, strict=True)
        ]
        print_table(columns, rows)


def _fields(indicator: Indicator) -> dict[str, Any]:
    """Return what is stored of an indicator."""
    fields = asdict(indicator)
    del fields["former"]
    return fields


def _asked_once(digest: str | None, kind: str | None, value_file: Path | None) -> bool:
    return (kind is None) == (value_file is None) and not (digest and kind)


def _known_as(config: Config, kind: str | None, path: Path | None, country: str | None) -> list[str] | None:
    """All digests under which values may be known; none if none are asked about."""
    if kind is None or path is None:
        return None
    digester = config.digester()
    each = (digester.all_of(identifier, country) for _, identifier in _read(kind, path))
    return sorted({digest for own, around, _ in each for digest in own | around})


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
    from paycordon.store.formerly import counting_digests
    from paycordon.store.indicators import Correction, withdraw_each
    from paycordon.store.withdrawals import count

    loaded = read_config(config)
    keyed: Mapping[str, tuple[str, ...]] = {digest: ()} if digest else {}
    if kind and value_file and not digest:
        keyed = _keyed(loaded, kind, value_file, country)
    checked("name the indicator by `--digest`, or by `--kind` and `--value-file`", bool(keyed))
    person, why = acting(loaded, by), said(reason)
    person.require(Role.ANALYST)
    correction = Correction(person.name, why)
    named = (source.strip(), reference.strip())
    store = open_store(config)
    try:
        with store.write() as connection:
            digests = counting_digests(connection, *named, keyed)
            begun = withdraw_each(connection, digests, *named, utc_now(), correction=correction)
            found = {each.id: count(connection, each.id) for each in begun}
    finally:
        store.close()
    if as_json:
        withdrawals = [{"id": id_, "decisions": number} for id_, number in found.items()]
        print_json({"withdrawn": digests, "withdrawals": withdrawals})
        return
    print_line(f"withdrew {len(digests)}")
    for id_, number in found.items():
        print_line(f"{number} {'decision' if number == 1 else 'decisions'} used it: paycordon withdrawal show {id_}")
    if any(found.values()):
        print_line("a worker judges their holds again; `paycordon withdrawal run` does so now")


def _read(kind: str, path: Path) -> list[tuple[int, Identifier]]:
    """Read values, one a line, with the numbers of their lines."""
    from paycordon.cli.inputs import read_text

    name, text = read_text(path)
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
    return [(number, _identifier(kind, value, name, number)) for number, value in lines if value]


def _keyed(config: Config, kind: str, path: Path, country: str | None = None) -> dict[str, tuple[str, ...]]:
    """Read values, one a line, and return by digest those under former keys; either all are usable or none is taken."""
    from paycordon.cli.inputs import InputInvalid
    from paycordon.coalition.identifiers import is_valid
    from paycordon.errors import Position

    digester = config.digester()
    read = _read(kind, path)
    found: dict[str, tuple[str, ...]] = {}
    for number, identifier in read:
        try:
            digests = digester.of_indicator(identifier, country)
            before = digester.of_indicator_formerly(identifier, country) or ((),) * len(digests)
            found |= zip(digests, before, strict=True)
        except ValueError as error:
            name = "<stdin>" if str(path) == "-" else str(path)
            raise InputInvalid(f"the value {error}", position=Position(name, number)) from None
    unusual = [str(number) for number, identifier in read if not is_valid(identifier, country)]
    if unusual:
        shown = ", ".join(unusual[:10]) + (" …" if len(unusual) > 10 else "")
        print_note(f"note: no valid `{kind}`, so it matches only what is written the same way: line {shown}")
    return found


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
