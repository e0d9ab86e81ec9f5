"""`paycordon work`."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line


def work(
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, then exit; for cron.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Screen what came in, make the gateways agree with the holds, sign the log. Runs until it is told to stop.

    Run one or several, on any number of machines; SIGTERM lets each finish what it is at.
    """
    from paycordon.doctor import require_writable
    from paycordon.plugins import open_gateways
    from paycordon.screening import Cordon
    from paycordon.store.engine import DEFAULT_PATIENCE
    from paycordon.working import Worker

    loaded = read_config(config)
    cordon = Cordon.from_loaded(loaded, patience=DEFAULT_PATIENCE)
    try:
        gateways = open_gateways(loaded, cordon.plugins)
        worker = Worker.configured(cordon, gateways, loaded)
        with logging_to_stderr():
            if not once:
                with stopped_by_signals() as stop:
                    worker.run(stop)
                return
            require_writable(cordon.store)  # deliveries just wait while it is away; a cron job should hear of it
            pieces = worker.drain()
    finally:
        cordon.close()
    if as_json:
        print_json({"done": pieces})
    else:
        print_line(f"did {pieces} pieces of work; nothing else is due now")


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set; a second signal ends the process as usual."""
    stop = threading.Event()
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def on_signal(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Show what the package logs, on stderr, for as long as a service runs."""
    logger = logging.getLogger("paycordon")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
