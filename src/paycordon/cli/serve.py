"""`paycordon serve`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_note
from paycordon.cli.work import logging_to_stderr, stopped_by_signals
from paycordon.errors import ConfigError

if TYPE_CHECKING:
    import uvicorn

    from paycordon.working import Worker


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0 takes a free one.")] = 8000,
    with_worker: Annotated[bool, typer.Option("--with-worker", help="Work in this process too.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take webhooks and answer screenings over HTTP. Runs until it is told to stop.

    Webhooks are only stored here: run `paycordon work` beside it, or give `--with-worker`.
    """
    uvicorn = uvicorn_module()
    from paycordon.plugins import open_gateways
    from paycordon.screening import Cordon
    from paycordon.server.app import create_app
    from paycordon.working import Worker

    loaded = read_config(config)
    with listening(host, port) as listener:
        cordon = Cordon.from_loaded(loaded)
        try:
            gateways = open_gateways(loaded, cordon.plugins)
            app = create_app(cordon, gateways, api_token=loaded.api_token)
            worker = Worker.configured(cordon, gateways, loaded) if with_worker else None
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
            announce(listener, as_json=as_json)
            _run(server, listener, worker)
        finally:
            cordon.close()


def uvicorn_module() -> ModuleType:
    """Return uvicorn.

    Raises:
        ConfigError: what serving takes is not installed.
    """
    try:
        import fastapi  # noqa: F401  # needed as well
        import uvicorn
    except ModuleNotFoundError as error:
        raise ConfigError(f"`{error.name}` is not installed", hint="pip install 'paycordon[server]'") from None
    return uvicorn


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen at an address.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}", hint="choose another `--port`") from None
    with listener:
        # asyncio does this only for sockets that were made by protocol number; without it each answer, being written in
        # two parts, waits for the 40 ms of the receiver's delayed acknowledgement. Accepted sockets inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def announce(listener: socket.socket, *, as_json: bool) -> None:
    """Say where is listened."""
    host, port = listener.getsockname()[:2]
    if as_json:
        print_json({"host": host, "port": port})
        typer.echo(nl=False)  # flushes: whoever started this waits for that line
    else:
        print_note(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")


def _run(server: uvicorn.Server, listener: socket.socket, worker: Worker | None) -> None:
    """Serve, and work in a second thread, until a signal comes; both finish what they are at."""
    # uvicorn catches the signals first, stops serving, and raises them again for whoever handled them before.
    with logging_to_stderr(), stopped_by_signals() as stop:
        thread = threading.Thread(target=worker.run, args=(stop,), name="paycordon worker") if worker else None
        if thread:
            thread.start()
        try:
            server.run(sockets=[listener])
        finally:
            stop.set()
            if thread:
                thread.join()
