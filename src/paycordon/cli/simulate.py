"""`paycordon simulate`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import JsonOption
from paycordon.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.simulators import Described, Simulator, SimulatorOptions

_SHOWN = "the command line"


def simulate(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Whose gateway, as `stripe`.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port on 127.0.0.1; 0 takes a free one.")] = 0,
    api_key: Annotated[str | None, typer.Option(help="The only key it takes, a made-up one.")] = None,
    webhook: Annotated[list[str] | None, typer.Option(help="Deliver events to this URL; may be repeated.")] = None,
    secret: Annotated[str | None, typer.Option(help="What deliveries are signed with: env:NAME or file:PATH.")] = None,
    clock: Annotated[str | None, typer.Option(help="What its clock shows at the start: 2026-03-02T12:00:00Z.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a gateway on this machine, to test against; without a name, list those there are.

    Listens on loopback until it is told to stop, and delivers to loopback only. Nothing is kept.
    """
    from paycordon.plugins import load_all

    available = load_all().simulators()
    if name is None:
        _list(available, as_json=as_json)
        return
    kind = _chosen(available, name)
    _run(kind(_options(port, api_key, webhook or [], secret, clock)), port, as_json=as_json)


def _list(available: Mapping[str, type[Simulator]], *, as_json: bool) -> None:
    if as_json:
        print_json({"simulators": [{"name": name, "about": kind.about} for name, kind in available.items()]})
    elif available:
        print_table(("simulator", "what it simulates"), [(name, kind.about) for name, kind in available.items()])
        print_line(f"run one with `paycordon simulate {next(iter(available))}`")
    else:
        print_line("no simulator is installed; try `pip install paycordon-stripe`")


def _chosen(available: Mapping[str, type[Simulator]], name: str) -> type[Simulator]:
    from paycordon.errors import ConfigError

    if name not in available:
        known = ", ".join(f"`{each}`" for each in available) or "none; pip install paycordon-stripe"
        raise ConfigError(f"there is no simulator of `{name}`", hint=f"installed: {known}")
    return available[name]


def _options(
    port: int, api_key: str | None, urls: list[str], reference: str | None, clock: str | None
) -> SimulatorOptions:
    from paycordon.errors import ConfigError, Position
    from paycordon.secretrefs import Secrets
    from paycordon.simulators import SimulatedWebhook, SimulatorOptions

    if bool(urls) is not bool(reference):
        raise ConfigError("`--webhook` and `--secret` go together", hint="give a secret as `env:NAME` or `file:PATH`")
    secret = Secrets(os.environ, Path.cwd()).resolve(reference, Position(_SHOWN)) if reference else ""
    webhooks = tuple(SimulatedWebhook(url, secret) for url in urls)
    return SimulatorOptions(port, api_key, webhooks, _time(clock) if clock else None)


def _time(text: str) -> datetime:
    from paycordon.errors import ConfigError

    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"`{text}` is not a time", hint="write it as 2026-03-02T12:00:00Z") from None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def _run(simulator: Simulator, port: int, *, as_json: bool) -> None:
    from paycordon.cli.work import stopped_by_signals
    from paycordon.errors import ConfigError

    with stopped_by_signals() as stop:
        try:
            described = simulator.start()
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise ConfigError(f"cannot listen on 127.0.0.1:{port}: {reason}", hint="choose another `--port`") from None
        try:
            _announce(simulator.name, described, as_json=as_json)
            stop.wait()
        finally:
            simulator.stop()


def _announce(name: str, described: Described, *, as_json: bool) -> None:
    if as_json:
        print_json({"simulator": name, "address": described.address, "control": described.control})
    else:
        print_line(f"{name} is simulated at {described.address} until you press Ctrl-C")
        for line in described.use:
            print_line(line)
        print_line(f"watch and steer it at {described.control}")
    typer.echo(nl=False)  # flushes: whoever started this waits for these lines
