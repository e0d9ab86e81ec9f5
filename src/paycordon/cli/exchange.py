"""`paycordon exchange list`, `show`, `retry`, `recipients`, `reasons`: what others are told, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, ReasonOption, acting, by_analyst
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, looking, read_config
from paycordon.cli.output import print_fields, print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.coalition.identifiers import Digester
    from paycordon.store.contributed import StoredContribution
    from paycordon.store.messages import Message

ContributionId = Annotated[str, typer.Argument(metavar="ID", help="As `paycordon exchange list` names it.")]


def list_contributions(
    merchant: Annotated[str | None, typer.Option(help="About this merchant only.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Include what was taken back or has ended, and feedback told.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """List what others are told, and feedback that waits; exit code 1 where a person must look."""
    from paycordon.store.contributed import LIVE, State
    from paycordon.store.contributions import listed
    from paycordon.store.messages import MessageState, feedback_given
    from paycordon.store.messages import listed as messages

    with looking(config) as connection:
        found = listed(connection, states=tuple(State) if everything else LIVE, merchant=merchant)
        waiting = messages(connection)
        given = feedback_given(connection) if everything else [e for e in waiting if e.contribution is None]
    feedback = given if merchant is None else []
    if as_json:
        print_json({"contributions": [asdict(each) for each in found], "feedback": [_shown(each) for each in feedback]})
    elif not found and not feedback:
        print_line("nobody is told anything; `paycordon exchange draft --help` says how to begin")
        print_line("`--all` shows what was taken back, declined or has ended, and feedback that was told")
    if not as_json and found:
        columns = ("contribution", "recipient", "kind", "merchant", "state", "rests on", "by", "drafted", "ends")
        print_table(columns, [_row(each) for each in found])
    if not as_json and feedback:
        rows = [_feedback_row(each) for each in feedback]
        print_table(("feedback", "recipient", "source", "reference", "worth", "by", "given", "state"), rows)
    return int(any(each.state is MessageState.STUCK for each in waiting if merchant in (None, each.merchant)))


def show(
    contribution: ContributionId,
    by: Annotated[str | None, typer.Option(help="Who you are, to see what is plain; else kinds and digests.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show what a recipient is told of one merchant, each message about it, and what a draft says in plain words.

    Of feedback, show what became of it.
    """
    from paycordon.people import Role
    from paycordon.store import Store
    from paycordon.store.contributions import get
    from paycordon.store.messages import get as message_of
    from paycordon.store.messages import of

    read = read_config(config)
    if by is not None and not (person := acting(read, by)).may(Role.APPROVER):
        person.require(Role.ANALYST)
    store = Store.open(read.store)
    try:
        with store.read() as connection:
            message = message_of(connection, contribution) if contribution.startswith("msg_") else None
            if message is None or message.contribution is not None:
                found = get(connection, contribution if message is None else str(message.contribution))
                sent = of(connection, found.id)
    finally:
        store.close()
    if message is not None and message.contribution is None:
        _show_feedback(message, as_json=as_json)
        return
    told = [_shown(each, None if by is None else read.digester()) for each in sent]
    if as_json:
        print_json({**asdict(found), "messages": told})
        return
    print_fields({name: _text(value) for name, value in asdict(found).items() if value})
    for each in told:
        content, seen = each.pop("content", None), each.pop("seen", ())
        print_line("")
        print_fields({name: _text(value) for name, value in each.items() if value not in (None, "", False)})
        if content is not None:
            _print_words(content, seen)


def retry(
    message: Annotated[str, typer.Argument(metavar="ID", help="The message, as `paycordon exchange show` names it.")],
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let a stuck message be sent again, under its key: a recipient that has it already has it once."""
    from paycordon.store.contributions import requeue

    found = by_analyst(config, by, reason, lambda connection, **who: requeue(connection, message, **who))
    if as_json:
        print_json(_shown(found))
    else:
        print_line(f"{found.id} waits for a worker again")


def recipients(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List whom this deployment tells what it knows, and what each may be told."""
    from paycordon.exchange.sharing import LETS_THROUGH
    from paycordon.plugins import load, open_exchange

    read = read_config(config)
    opened = open_exchange(read, load(read)).recipients
    rows = [
        {
            "name": name,
            "format": each.format,
            "verbs": sorted(each.verbs),
            "kinds": sorted(each.kinds),
            "audience": each.settings.audience.value,
            "tlp": sorted(LETS_THROUGH[each.settings.audience]),
            "licences": list(each.settings.licences),
            "source": each.settings.source,
        }
        for name, each in opened.items()
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        print_line("nobody is told anything; name a recipient under `exchange` in the configuration")
        print_line("`paycordon plugins` lists the formats")
    else:
        columns = ("name", "format", "verbs", "kinds", "audience", "tlp", "licences", "source")
        print_table(columns, [[_text(row[name]) for name in columns] for row in rows])


def reasons(as_json: JsonOption = False) -> None:
    """List the codes that a termination can be given as its reason."""
    from paycordon.exchange.reasons import REASONS

    if as_json:
        print_json([asdict(each) for each in REASONS.values()])
        return
    columns = ("reason", "name", "means", "from", "taken off early")
    rows = [(each.code, each.name, each.means, each.criteria, each.removable) for each in REASONS.values()]
    print_table(columns, rows)
    print_line("sources: the public interface description of MATCH, and payment service providers' guides; `--json`")


def _show_feedback(message: Message, *, as_json: bool) -> None:
    shown = _shown(message)
    if as_json:
        print_json(shown)
    else:
        about = shown.pop("about")
        print_fields({name: value for name, value in {**about, **shown}.items() if value not in (None, "", False)})


def _feedback_row(each: Message) -> tuple[object, ...]:
    about = each.about or {}
    named = (about.get(name, "") for name in ("source", "reference", "worth"))
    return (each.id, each.recipient, *named, each.asked_by, each.asked_at, each.state)


def _print_words(content: dict[str, Any], seen: Sequence[bool]) -> None:
    """Say in plain words what a draft would tell."""
    items, party = content.pop("items", ()), content.pop("party", None)
    print_fields({f"told: {name}": value for name, value in content.items()})
    columns = ("identifier", "value or digest", "tlp", "confidence", "seen with the merchant")
    rows = [
        (
            each["kind"],
            each.get("value") or each.get("digest"),
            each.get("tlp"),
            each.get("confidence"),
            "yes" if known else "no",
        )
        for each, known in zip(items, seen, strict=True)
    ]
    if rows:
        print_table(columns, rows)
    if party is not None:
        print_fields({f"party: {name}": _text_of(value) for name, value in party.items() if value})


def _text_of(value: Any) -> str:
    """Return what belongs to a party in one line."""
    if isinstance(value, dict):
        return ", ".join(_text_of(each) for each in value.values() if each)
    if isinstance(value, list | tuple):
        return "; ".join(_text_of(each) for each in value)
    return str(value)


def _shown(message: Message, digester: Digester | None = None) -> dict[str, Any]:
    shown = {name: getattr(message, name) for name in message.__slots__ if name != "sealed"}
    words = None if digester is None else message.words(digester)
    if words is not None:
        shown["content"] = words.content.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        shown["seen"] = list(words.seen)
    return shown


def _row(each: StoredContribution) -> tuple[object, ...]:
    ground = each.hold or each.case or each.origin or ""
    return (
        *(each.id, each.recipient, each.kind, each.merchant, each.state, ground),
        *(each.drafted_by, each.drafted_at, each.ends_at or ""),
    )


def _text(value: object) -> object:
    if isinstance(value, list | tuple):
        return ", ".join(" ".join(map(str, each)) if isinstance(each, tuple | list) else str(each) for each in value)
    return value
