from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
import uvicorn

from paycordon.cli.serve import listening
from paycordon.events import Identifier
from paycordon.hub.client import Hub
from paycordon.hub.door import Door
from paycordon.hub.home import SETTINGS, Home, create

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LISTED = 400


def email(name: str) -> Identifier:
    return Identifier(kind="email", value=f"{name}@shop.example")


def write(path: Path, names: Sequence[str]) -> Path:
    path.write_text("".join(f'{{"kind": "email", "value": "{name}@shop.example"}}\n' for name in names))
    return path


@contextmanager
def over_http(app: Any) -> Iterator[str]:
    """Serve an application as `paycordon hub serve` does; gives its address."""
    with listening("127.0.0.1", 0) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


@dataclass
class Running:
    """A hub that is served, its clock in the test's hands."""

    home: Home
    directory: Path
    now: datetime = NOON
    url: str = ""
    door: Door = field(init=False)

    def clock(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)

    def build(self, names: Sequence[str]) -> Sequence[Any]:
        return self.home.build(
            write(self.directory.parent / "list.jsonl", names), self.clock, lambda _: None, shrink=True
        )

    def keys(self) -> list[str]:
        return [each["public_key"] for each in self.home.epochs(self.now)]

    def token(self, name: str = "acme", **limits: int | None) -> str:
        return self.home.add_member(name, self.now, limits.get("per_day"), limits.get("burst"))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A hub with its first key and no list; k is small, so that a short list has several buckets."""
    directory = tmp_path / "hub"
    create(directory, NOON)
    (directory / SETTINGS).write_text("minimum: 20\n")
    opened = Home(directory)
    yield opened
    opened.close()


@pytest.fixture
def hub(home: Home, tmp_path: Path) -> Iterator[Running]:
    """A hub that serves a list over HTTP."""
    running = Running(home, tmp_path / "hub")
    running.build([f"seller{n}" for n in range(LISTED)])
    running.door = Door(home, running.clock)
    with over_http(running.door) as url:
        running.url = url
        yield running


@pytest.fixture
def member(hub: Running) -> Iterator[Callable[..., Hub]]:
    """Makes members of the hub with all its keys pinned, unless others are given."""
    with ExitStack() as opened:

        def make(**given: Any) -> Hub:
            token = given.pop("token", None) or hub.token()
            made = Hub(given.pop("url", hub.url), token, given.pop("keys", None) or hub.keys(), **given)
            opened.callback(made.close)
            return made

        yield make


@pytest.fixture
def send(hub: Running) -> Iterator[Callable[..., urllib3.BaseHTTPResponse]]:
    """Sends one request as a member, whatever it is."""
    token = hub.token("raw", per_day=10_000_000, burst=100_000)
    with urllib3.PoolManager(retries=False) as pool:

        def request(method: str, path: str, body: bytes = b"", **headers: str) -> urllib3.BaseHTTPResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            fields = {"authorization": f"Bearer {token}", "content-type": "application/octet-stream"} | named
            return pool.request(method, hub.url + path, body=body, headers=fields)

        yield request
