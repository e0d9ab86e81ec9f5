"""`paycordon demo`: the whole flow on this machine, with a simulated gateway and real HTTP, signatures and storage."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

INSTANCE = "demo"
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery and what came of it."""

    title: str
    account: str
    event_id: str | None
    answer: int
    outcome: str = ""
    rule: str = ""
    merchant_reason: str = ""
    at_gateway: str = ""


def demo(
    adapter: Annotated[str, typer.Option(help="Whose gateway to simulate.")] = "stripe",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Play deliveries of a simulated gateway through the real pipeline: decision, hold, release, log.

    Everything happens in a temporary directory and on loopback; nothing is left behind.
    """
    from paycordon.errors import ConfigError
    from paycordon.plugins import load_all

    available = load_all().demonstrations()
    if adapter not in available:
        known = ", ".join(f"`{name}`" for name in available) or "none; pip install paycordon-stripe"
        raise ConfigError(f"there is no demonstration of `{adapter}`", hint=f"installed: {known}")
    with tempfile.TemporaryDirectory(prefix="paycordon-demo-") as directory, available[adapter]() as shown:
        story = _Story(Path(directory), shown)
        try:
            story.play(None if as_json else _Screen())
        finally:
            story.close()
    if as_json:
        from paycordon.cli.output import print_json

        print_json(story.summary())
    raise typer.Exit(0 if story.ok else 1)


class _Story:
    """The demonstration's deployment and what happened in it."""

    def __init__(self, directory: Path, shown: Any) -> None:
        from paycordon.config import load_config
        from paycordon.keys import generate_key
        from paycordon.plugins import open_gateways
        from paycordon.screening import Cordon
        from paycordon.store.engine import DEFAULT_PATIENCE

        self._shown = shown
        environ = {"DEMO_IDENTIFIER_KEY": secrets.token_hex(32)}
        (directory / "log.pem").write_text(generate_key())
        (directory / "policies").mkdir()
        _write_policy(directory / "policies" / "starter.yaml")
        _write_config(directory / "paycordon.yaml", shown, environ)
        config = load_config(directory / "paycordon.yaml", environ)
        self._config = config
        # Nobody waits here: as for `paycordon work`, a file that is locked for a while is no dead store.
        self._cordon = Cordon.from_loaded(config, patience=DEFAULT_PATIENCE)
        self._gateways = open_gateways(config, self._cordon.plugins)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.rows: list[Row] = []
        self.released: list[str] = []
        self.after_release: dict[str, str] = {}
        self.log_entries = 0
        self.ok = False

    def play(self, screen: _Screen | None) -> None:
        from paycordon.working import Pace, Worker

        show = screen.show if screen else lambda _story, _note: None
        self._add_indicators()
        pace = Pace(idle=timedelta(milliseconds=50))
        worker = Worker(self._cordon, self._gateways, pace=pace)
        thread = threading.Thread(target=worker.run, args=(self._stop,), name="demo-worker")
        thread.start()
        self._threads.append(thread)
        with _serving(self._cordon, self._gateways) as base, _live(screen):
            for delivery in self._shown.deliveries(datetime.now(UTC)):
                answer = _post(f"{base}/webhooks/{INSTANCE}", delivery.headers, delivery.body)
                self.rows.append(Row(delivery.title, delivery.account, delivery.event_id, answer))
                self._await(lambda: self.rows[-1].answer != 200 or self._screened(self.rows[-1]))
                show(self, "deliveries come in …")
            self._await(self._reconciled)
            self._look()
            show(self, "the worker has made the gateway agree")
            self._release()
            self._await(self._reconciled)
            self._look_again()
            show(self, "two people have released the holds")
        self._verify(screen)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._cordon.close()

    def summary(self) -> dict[str, Any]:
        rows = [
            {
                name: getattr(row, name)
                for name in ("title", "answer", "outcome", "rule", "merchant_reason", "at_gateway")
            }
            for row in self.rows
        ]
        log = {"entries": self.log_entries, "ok": self.ok}
        return {"deliveries": rows, "released": self.released, "after_release": self.after_release, "log": log}

    def _add_indicators(self) -> None:
        from paycordon.store import indicators

        now = datetime.now(UTC)
        with self._cordon.store.write() as connection:
            for identifier in self._shown.indicators():
                indicators.add(
                    connection,
                    indicators.Indicator(
                        digest=self._cordon.digester.digest(identifier),
                        kind=str(identifier.kind),
                        source="demonstration",
                        reference="DEMO-1",
                        confidence=90,
                        status="investigation",
                        valid_until=now + timedelta(days=1),
                    ),
                    now,
                )

    def _screened(self, row: Row) -> bool:
        if row.event_id is None:
            return True
        decision = self._decision(row.event_id)
        if decision is None:
            return False
        index = self.rows.index(row)
        reason = decision.merchant_reason
        self.rows[index] = replace(row, outcome=decision.outcome.value, rule=decision.rule, merchant_reason=reason)
        return True

    def _decision(self, event_id: str) -> Any:
        from paycordon.store import decisions

        with self._cordon.store.read() as connection:
            return decisions.of_event(connection, INSTANCE, event_id)

    def _reconciled(self) -> bool:
        from paycordon.store import restrictions

        with self._cordon.store.read() as connection:
            return all(row.state == "settled" for row in restrictions.listed(connection))

    def _look(self) -> None:
        self.rows = [
            replace(row, at_gateway=self._shown.at_gateway(row.account) if row.outcome else "untouched")
            for row in self.rows
        ]

    def _look_again(self) -> None:
        held = {row.account for row in self.rows if row.outcome in ("hold", "block")}
        self.after_release = {account: self._shown.at_gateway(account) for account in sorted(held)}

    def _release(self) -> None:
        from paycordon.people import Person, Role
        from paycordon.review.proposals import Wish, agree, release
        from paycordon.store import holds
        from paycordon.store.proposals import Proposal

        def wish(name: str, role: Role) -> Wish:
            person = Person(name, frozenset({role}))
            return Wish(person, "documents checked", datetime.now(UTC), secrets.token_bytes)

        with self._cordon.store.write() as connection:
            for hold in holds.listed(connection):
                # What rests on the coalition's knowledge takes two people.
                came = release(connection, hold.id, wish("demo reviewer", Role.ANALYST))
                if isinstance(came, Proposal):
                    agree(connection, came.id, wish("demo approver", Role.APPROVER))
                self.released.append(f"{hold.subject_kind} {hold.subject_id} ({hold.rule})")

    def _verify(self, screen: _Screen | None) -> None:
        from paycordon.record.checkpoints import checkpoint, load_private_key
        from paycordon.record.verify import verify

        key = load_private_key(self._config.log_signing_key or "")
        checkpoint(self._cordon.store, key, datetime.now(UTC))
        report = verify(self._cordon.store, public_keys=[key.public_key()])
        self.ok, self.log_entries = report.ok, report.entries
        if screen:
            screen.end(self)

    def _await(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > deadline:
                raise TimeoutError("the demonstration's worker did not finish in time")
            time.sleep(0.02)


def _write_policy(path: Path) -> None:
    from paycordon.policy import starter_policy

    path.write_text(starter_policy())


def _write_config(path: Path, shown: Any, environ: dict[str, str]) -> None:
    """Write the demonstration's configuration; as everywhere, secrets stand in the environment and not in the file."""
    lines = [
        "store: sqlite:///demo.db",
        "identifier_keys: {current: k1, keys: {k1: 'env:DEMO_IDENTIFIER_KEY'}}",
        "log_signing_key: 'file:log.pem'",
        "policies: [policies]",
        f"required: [checks, {shown.adapter}]",
        "gateways:",
        f"  {INSTANCE}:",
        f"    adapter: {shown.adapter}",
        "    mode: test",
    ]
    for name, value in shown.settings().items():
        values = value if isinstance(value, list) else [value]
        references = []
        for index, item in enumerate(values):
            variable = f"DEMO_{name}_{index}".upper()
            environ[variable] = item
            references.append(f"'env:{variable}'")
        lines.append(f"    {name}: {'[' + ', '.join(references) + ']' if isinstance(value, list) else references[0]}")
    path.write_text("\n".join(lines) + "\n")


@contextmanager
def _serving(cordon: Any, gateways: Any) -> Iterator[str]:
    """Serve the intake on loopback; yields its address."""
    import uvicorn

    from paycordon.server import create_app

    app = create_app(cordon, gateways)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, name="demo-server")
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while not server.started:
            if time.monotonic() > deadline or not thread.is_alive():
                raise TimeoutError("the demonstration's server did not start")
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def _post(url: str, headers: Any, body: bytes) -> int:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, data=body, headers=dict(headers), method="POST"), timeout=PATIENCE) as response:  # noqa: S310  # loopback
            return int(response.status)
    except HTTPError as error:
        return error.code


@contextmanager
def _live(screen: _Screen | None) -> Iterator[None]:
    if screen is None:
        yield
    else:
        with screen.live:
            yield


class _Screen:
    """The live table."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        # Written to a file or a pipe there is no width to keep to, and eight columns of letters help nobody.
        self._console = Console() if Console().is_terminal else Console(width=132)
        self.live = Live(console=self._console, auto_refresh=False)

    def show(self, story: _Story, note: str) -> None:
        from rich.table import Table

        table = Table(title=f"Paycordon demo: {note}", title_justify="left")
        for column in ("delivery", "answer", "decision", "rule", "merchant hears", "at the gateway"):
            table.add_column(column, overflow="fold")
        for row in story.rows:
            colour = {"hold": "yellow", "block": "red", "allow": "green", "review": "cyan"}.get(row.outcome, "dim")
            decision = f"[{colour}]{row.outcome or '—'}[/]"
            answer = f"[green]{row.answer}[/]" if row.answer == 200 else f"[red]{row.answer}[/]"
            table.add_row(row.title, answer, decision, row.rule, row.merchant_reason, row.at_gateway)
        self.live.update(table, refresh=True)

    def end(self, story: _Story) -> None:
        self._console.print("\n[bold]Released by two people:[/]")
        for line in _unique(story.released):
            self._console.print(f"  {line}")
        for account, state in story.after_release.items():
            self._console.print(f"  {account} at the gateway: {state}")
        verdict = "[green]ok[/]" if story.ok else "[red]broken[/]"
        self._console.print(f"\nlog verify: {verdict} ({story.log_entries} entries, checkpoint signed)")
        self._console.print("Next: [bold]paycordon init[/] makes a deployment of your own.")


def _unique(lines: Sequence[str]) -> Sequence[str]:
    return list(dict.fromkeys(lines))
