"""A whole deployment with an instance of each gateway whose simulator has a stage: real HTTP, SDKs, store, workers."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from sqlalchemy import select

from paycordon.config import load_config
from paycordon.decisions import Decision, Outcome
from paycordon.enforcement import ondemand
from paycordon.errors import Stopped
from paycordon.events import Identifier, Money
from paycordon.exchange.contract import Worth
from paycordon.exchange.sharing import Exchange
from paycordon.gateways import Gateway, Restriction
from paycordon.people import Person, Role
from paycordon.plugins import load_all, open_exchange, open_gateways
from paycordon.review import contributing, directives, proposals
from paycordon.review.proposals import Wish
from paycordon.review.withdrawal import release_unsupported
from paycordon.screening import Cordon
from paycordon.server import create_app
from paycordon.simulators import Applicant, Stage
from paycordon.store import holds, indicators, restrictions, schema
from paycordon.store.directives import Kind, Terms
from paycordon.store.proposals import Proposal
from paycordon.working import Worker

STAGES: dict[str, type[Stage]] = {
    name: kind.stage for name, kind in load_all().simulators().items() if kind.stage is not None
}
PATIENCE = 30.0
POLICY = Path(__file__).parent / "policy.yaml"
IBANS = ["DE89370400440532013000", "DE75512108001245126199", "DE02120300000000202051"]
_numbers = itertools.count(1)


def person(name: str, *roles: Role) -> Person:
    return Person(name, frozenset(roles))


@dataclass
class Seen:
    """What a scenario's step came to, in words that all gateways share."""

    outcome: Outcome
    rules: frozenset[str]
    reason: str


@dataclass
class World:
    """One deployment, its gateways, and what happened."""

    cordon: Cordon
    gateways: Mapping[str, Gateway[Any]]
    stages: Mapping[str, Stage]
    worker: Worker
    exchange: Exchange
    deliveries_seen: set[str] = field(default_factory=set)

    def settle(self) -> None:
        """Let everything that was delivered be screened, and the gateways be made to agree."""
        for stage in self.stages.values():
            stage.told()
        deadline = time.monotonic() + PATIENCE
        while self.worker.drain() or not self._agree():
            assert time.monotonic() < deadline, "the gateways were not made to agree in time"
            for stage in self.stages.values():
                stage.told()

    def pull(self, feed: str, within: float) -> float:
        """Look at a feed until it has brought something, and do nothing else; returns after how many seconds it had."""
        (duty,) = [each for each in self.worker.duties if each.name == f"feed {feed}"]
        begun = time.monotonic()
        while not self.counting(feed):
            assert time.monotonic() - begun < within
            duty.step()
        return time.monotonic() - begun

    def _agree(self) -> bool:
        with self.cordon.store.read() as connection:
            return all(row.state == "settled" for row in restrictions.listed(connection))

    def know(self, kind: str, value: str) -> None:
        """Let the coalition know an identifier."""
        digest = self.cordon.digester.digest(Identifier(kind=kind, value=value))
        known = indicators.Indicator(
            digest=digest, kind=kind, source="synthetic", reference="R-1", confidence=90, status="investigation"
        )
        with self.cordon.store.write() as connection:
            indicators.add(connection, known, datetime.now(UTC))

    def forget(self, kind: str, value: str) -> str:
        """Let the source take an indicator back; returns the withdrawal that lists what used it."""
        digest = self.cordon.digester.digest(Identifier(kind=kind, value=value))
        correction = indicators.Correction("ana", "taken back by the source")
        with self.cordon.store.write() as connection:
            begun = indicators.withdraw(
                connection, digest, "synthetic", "R-1", datetime.now(UTC), correction=correction
            )
        return begun.id

    def seen(self, instance: str, account: str, *types: str) -> list[Seen]:
        """Return what was decided about events of an account, in their order, leaving out what was plainly allowed."""
        table = schema.decisions
        query = select(table.c.body).where(table.c.instance == instance).order_by(table.c.decided_at, table.c.id)
        with self.cordon.store.read() as connection:
            found = [Decision.model_validate_json(body) for (body,) in connection.execute(query)]
        return [
            Seen(each.outcome, frozenset(match.rule for match in each.matches), each.merchant_reason)
            for each in found
            if each.subject.account == account and (not types or each.event_type in types)
        ]

    def counting(self, source: str) -> int:
        """Return how many indicators of a source count."""
        with self.cordon.store.read() as connection:
            return len(indicators.listed(connection, source=source))

    def held(self, merchant: str) -> set[tuple[str, str, str]]:
        """Return the active holds of a merchant: outcome, rule and scope."""
        with self.cordon.store.read() as connection:
            return {(h.outcome, h.rule, h.scope) for h in holds.listed(connection) if h.merchant == merchant}

    def release(self, merchant: str) -> bool:
        """Release all holds of a merchant; returns whether it took two people."""
        now = datetime.now(UTC)
        two = False
        with self.cordon.store.write() as connection:
            for hold in [each for each in holds.listed(connection) if each.merchant == merchant]:
                came = proposals.release(connection, hold.id, self.wish("ana", Role.ANALYST, now))
                if isinstance(came, Proposal):
                    two = True
                    proposals.agree(connection, came.id, self.wish("ben", Role.APPROVER, now))
        return two

    def release_unsupported(self, withdrawal: str) -> None:
        """Release what rests on nothing any more, by two people."""
        now = datetime.now(UTC)
        _, proposed = release_unsupported(self.cordon.store, withdrawal, self.wish("ana", Role.ANALYST, now))
        with self.cordon.store.write() as connection:
            for each in proposed:
                proposals.agree(connection, each, self.wish("ben", Role.APPROVER, now))

    def feed_back(self, source: str, reference: str, worth: Worth) -> None:
        """Let a source be told what people made of one of its indicators."""
        wish = self.wish("ana", Role.ANALYST, datetime.now(UTC))
        with self.cordon.store.write() as connection:
            contributing.feedback(connection, self.exchange, source, reference, worth, wish)

    def logged(self, kind: str) -> int:
        """Return how many entries of a kind the log has."""
        with self.cordon.store.read() as connection:
            return len(connection.execute(select(schema.log.c.seq).where(schema.log.c.kind == kind)).all())

    def look_again(self) -> None:
        """Have every restricted account looked at now, as happens every quarter of an hour."""
        with self.cordon.store.write() as connection:
            assert ondemand.look_now(connection, datetime.now(UTC)) > 0
        self.settle()

    def wish(self, name: str, role: Role, now: datetime) -> Wish:
        return Wish(person(name, role), "documents seen", now, secrets.token_bytes)

    def keep_open(self, merchant: str) -> None:
        """Let an authority ask that a merchant be kept open."""
        now = datetime.now(UTC)
        terms = Terms(
            kind=Kind.KEEP_OPEN,
            merchant=merchant,
            account="",
            agency="Synthetic Agency",
            reference="K-1",
            starts_at=now - timedelta(minutes=1),
            ends_at=now + timedelta(days=30),
        )
        with self.cordon.store.write() as connection:
            by, longest = person("rea", Role.RESTRICTED), timedelta(days=183)
            directives.place(connection, terms, by=by, reason="a letter", now=now, longest=longest)

    def pay_out(self, instance: str, account: str, minor: int, key: str) -> str:
        """Pay out by the guarded client; returns `paid`, or what the backend is told."""
        try:
            self.stages[instance].pay_out(account, Money(minor=minor, currency="EUR"), key, guarded=self.cordon)
        except Stopped as stopped:
            return f"{type(stopped).__name__}: {stopped.merchant_reason}"
        return "paid"

    def restriction(self, instance: str, account: str) -> Restriction:
        return self.stages[instance].restriction(account)


def applicant(merchant: str, *, email: str | None = None, bank: str = IBANS[0]) -> Applicant:
    return Applicant(merchant, "Synthetic Goods", email or f"{merchant}@goods.example", bank)


def _configured(
    directory: Path, stages: Mapping[str, Stage], feeds: Mapping[str, Any], exchange: Mapping[str, Any]
) -> Path:
    environ: dict[str, str] = {}
    gateways: dict[str, Any] = {}
    for instance, stage in stages.items():
        found: dict[str, Any] = {"adapter": instance, "mode": "test"}
        for name, value in stage.settings().items():
            found[name] = _referred(f"{instance}_{name}".upper(), value, environ)
        gateways[instance] = found
    config = {
        "store": f"sqlite:///{directory / 'parity.db'}",
        "identifier_keys": {"current": "k1", "keys": {"k1": "env:KEY"}},
        "policies": ["policies"],
        "screening": {"budget_ms": 10_000, "check_deadline_ms": 5_000},
        "withdrawal": {"unsupported": "release"},
        "gateways": gateways,
        "feeds": dict(feeds),
        "exchange": {
            name: {**each, "secrets": _referred(name.upper(), each["secrets"], environ)}
            for name, each in exchange.items()
        },
    }
    (directory / "paycordon.yaml").write_text(yaml.safe_dump(config))
    (directory / "policies").mkdir()
    (directory / "policies" / "parity.yaml").write_text(POLICY.read_text())
    environ["KEY"] = "k" * 64
    (directory / "environ").write_text(yaml.safe_dump(environ))
    return directory / "paycordon.yaml"


def _referred(name: str, value: Any, environ: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_referred(f"{name}_{index}", each, environ) for index, each in enumerate(value)]
    if not isinstance(value, str) or value.startswith("http"):
        return value
    environ[name] = value
    return f"env:{name}"


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    with ExitStack() as opened:

        def make(
            *names: str, feeds: Mapping[str, Any] | None = None, exchange: Mapping[str, Any] | None = None
        ) -> World:
            stages = {name: opened.enter_context(STAGES[name]()) for name in names}
            directory = tmp_path / f"world{next(_numbers)}"
            directory.mkdir()
            path = _configured(directory, stages, feeds or {}, exchange or {})
            config = load_config(path, yaml.safe_load((directory / "environ").read_text()))
            cordon = Cordon.from_loaded(config)
            opened.callback(cordon.close)
            gateways = open_gateways(config, cordon.plugins)
            server = uvicorn.Server(
                uvicorn.Config(create_app(cordon, gateways), port=0, log_level="error", lifespan="off")
            )
            thread = threading.Thread(target=server.run)
            thread.start()
            opened.callback(thread.join, PATIENCE)
            opened.callback(setattr, server, "should_exit", True)
            deadline = time.monotonic() + PATIENCE
            while not server.started:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            for name, stage in stages.items():
                stage.deliver_to(f"http://127.0.0.1:{port}/webhooks/{name}")
            working = Cordon.from_loaded(config, patience=timedelta(seconds=PATIENCE))  # as `paycordon work` does
            opened.callback(working.close)
            worker = Worker.configured(working, gateways, config)
            return World(cordon, gateways, stages, worker, open_exchange(config, cordon.plugins))

        yield make
