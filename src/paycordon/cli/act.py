"""`paycordon act`: what people have done at a gateway, beyond holds and blocks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_work, by_analyst, print_proposed, said, wish_of
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, looking
from paycordon.cli.output import print_fields, print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.gateways import Gateway
    from paycordon.store.acts import StoredAct

ActId = Annotated[str, typer.Argument(metavar="ID", help="The act, as `paycordon act list` names it.")]


def ask(
    act: Annotated[str, typer.Argument(help="What to do, as `paycordon plugins ADAPTER` names it.")],
    account: Annotated[str, typer.Argument(help="At which account, by the gateway's id.")],
    by: ByOption,
    reason: ReasonOption,
    instance: Annotated[str | None, typer.Option(help="At which instance; needed where there are several.")] = None,
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the act; repeat it.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Have something done at a gateway; most of it takes two people, and a worker does it."""
    from paycordon.review.acts import ask as ask_for
    from paycordon.store.proposals import Proposal

    why, parameters = said(reason), _parameters(given or [])
    with at_work(config, by) as (read, store, person):
        gateway = _gateway(read, instance)
        wish = wish_of(read, person, why)
        with store.write() as connection:
            came = ask_for(connection, gateway, account, act, parameters, wish)
    if isinstance(came, Proposal):
        return print_proposed(came, as_json)
    if as_json:
        print_json(asdict(came))
    else:
        print_line(f"{came.id}: {came.act} of {came.account} at {came.instance} waits for a worker (`paycordon work`)")
    return 0


def list_acts(
    instance: Annotated[str | None, typer.Option(help="At this instance only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include those that are done.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """List what was asked for and is not done, the oldest first; exit code 1 where a person must look."""
    from paycordon.store.acts import ActState, listed

    with looking(config) as connection:
        found = listed(connection, instance=instance, open_only=not everything)
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("nothing waits to be done; `paycordon act ask --help` says how to ask, `--all` shows what is done")
    else:
        columns = ("act", "asked", "what", "account", "instance", "by", "agreed by", "state", "last error")
        print_table(columns, [_row(each) for each in found])
    return int(any(each.state is ActState.STUCK for each in found))


def show(act: ActId, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show one act: who wanted it, with which parameters, and what the gateway said."""
    from paycordon.store.acts import get

    with looking(config) as connection:
        found = get(connection, act)
    if as_json:
        print_json(asdict(found))
    else:
        print_fields({name: value for name, value in asdict(found).items() if value is not None})


def retry(
    act: ActId,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Let a stuck act be tried again; what is done already is read and not done again."""
    from paycordon.store.acts import requeue

    found = by_analyst(config, by, reason, lambda connection, **who: requeue(connection, act, **who))
    if as_json:
        print_json(asdict(found))
    else:
        print_line(f"{found.id} waits for a worker again")


def _parameters(given: list[str]) -> dict[str, Any]:
    from paycordon.cli.inputs import checked

    pairs = [each.partition("=") for each in given]
    checked("`--set` takes NAME=VALUE", all(name and separator for name, separator, _ in pairs))
    checked("`--set` names a parameter twice", len({name for name, _, _ in pairs}) == len(pairs))
    return {name: value for name, _, value in pairs}


def _gateway(config: Config, instance: str | None) -> Gateway[Any]:
    from paycordon.cli.inputs import checked
    from paycordon.plugins import load, open_gateways

    names = sorted(config.gateways)
    checked(f"there is no instance `{instance}` among `gateways`", instance is None or instance in names)
    checked(
        f"name one with `--instance`: {', '.join(names) or 'none is configured'}",
        instance is not None or len(names) == 1,
    )
    return open_gateways(config, load(config))[instance or names[0]]


def _row(act: StoredAct) -> tuple[object, ...]:
    return (
        act.id,
        act.asked_at,
        act.act,
        act.account,
        act.instance,
        act.asked_by,
        act.agreed_by or "",
        act.state,
        act.last_error or "",
    )
