"""A keep-open request changes nothing that anybody without the role `restricted` can see, whatever they ask."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from paycordon import checks as builtin_checks
from paycordon.cli import COMMANDS, build
from paycordon.coalition.identifiers import Digester
from paycordon.coalition_sections import ReferralsSection
from paycordon.config import Config, load_config
from paycordon.deployment import create
from paycordon.events import Event, Identifier
from paycordon.exchange.tip import Clue, Tip
from paycordon.people import Person, Role
from paycordon.plugins import Plugins
from paycordon.policy import load_policies
from paycordon.recognition import digest_of_token
from paycordon.record.checkpoints import checkpoint, load_private_key
from paycordon.review import directives, referral_holds, referring
from paycordon.review.referral_holds import Letter
from paycordon.review.referring import Doing, Practice
from paycordon.screening import Cordon, Limits
from paycordon.spans import Span
from paycordon.store import Store, indicators
from paycordon.store.directives import Kind, Terms
from paycordon.store.indicators import Indicator
from paycordon.store.referrals import About
from paycordon.testing import FrozenClock, make_event
from paycordon.working import Worker

RHEA = Person("rhea", frozenset({Role.RESTRICTED}))
TOKEN = "pct_of_ana"
POLICY = """\
policy: payouts
version: 1
on_error: review
rules:
  - id: known
    on: [payout.requested, merchant.onboarding]
    when: findings.exists(f, f.code == "indicator.match")
    then: hold
    merchant_reason: additional_information_required
    references: [synthetic]
  - id: sighted
    on: [dispute.opened]
    when: findings.exists(f, f.code == "indicator.match")
    then: review
    references: [synthetic]
"""
ANA = """
people:
  ana: {{token_sha256: {digest}, roles: [viewer, analyst, approver, admin]}}
notices: {{language: en, contact: appeals@psp.example}}
"""
BY = ("--by", "ana", "--reason", "looked at it")

# Everything that can be run: what it is asked here, or why it is not asked.
ASKED: dict[str, list[tuple[str, ...]]] = {
    "doctor": [()],
    "plugins": [()],
    "policy explain": [("{decision}",), ("{onboarding}",)],
    "policy backtest": [("policies", "--history", "store")],
    "policy status": [()],
    "policy history": [()],
    "policy lint": [("policies",)],
    "list show": [()],
    "hold list": [(), ("--merchant", "m_1")],
    "hold show": [("hold_unknown",)],
    "hold release": [("hold_unknown", *BY)],
    "case list": [(), ("--merchant", "m_1")],
    "case show": [("case_unknown",)],
    "case note": [("case_unknown", *BY)],
    "proposal list": [()],
    "snooze list": [()],
    "person list": [()],
    "directive keep-open": [
        ("--merchant", "m_1", "--agency", "a", "--reference", "r", "--until", "2027-01-31", *BY),
    ],
    "directive freeze": [("--merchant", "m_1", "--agency", "a", "--reference", "r", "--until", "2027-01-31", *BY)],
    "directive list": [("--by", "ana"), ("--by", "ana", "--all")],
    "directive show": [("{directive}", "--by", "ana")],
    "directive renew": [("{directive}", "--until", "2027-01-31", *BY)],
    "directive end": [("{directive}", *BY)],
    "directive release": [("{directive}", *BY)],
    "directive verify": [("--by", "ana")],
    "referral list": [("--by", "ana", "--all")],
    "referral show": [("{referral}", "--by", "ana")],
    "restriction list": [(), ("--merchant", "m_1")],
    "restriction show": [("acct_m_1",)],
    "act list": [(), ("--all",)],
    "act show": [("act_unknown",)],
    "clock list": [()],
    "clock report": [()],
    "delivery list": [()],
    "indicator list": [()],
    "indicator common": [()],
    "links": [("m_1",), ("--components",)],
    "feed list": [()],
    "exchange list": [(), ("--all",)],
    "exchange show": [("ctr_unknown",)],
    "exchange recipients": [()],
    "inquiry list": [(), ("--merchant", "m_1")],
    "inquiry show": [("inq_unknown",)],
    "withdrawal list": [()],
    "withdrawal show": [("wdr_unknown",)],
    "retention report": [()],
    "retention withheld": [("--merchant", "m_1", "--by", "ana")],
    "notice list": [()],
    "notice show": [("hold_unknown",)],
    "notification list": [()],
    "log verify": [()],
    "log public-key": [()],
}
AS_TEXT = ("hold list", "case list", "log verify", "log public-key", "directive list", "directive show")
WRITES = "writes what the caller says; what it then answers is asked by other commands"
ELSEWHERE = "reads nothing of the store"
REFUSED = "refused without the role before anything is looked up: tests/cli/test_referrals.py asks that of each"
NOT_ASKED = dict.fromkeys(
    ["screen", "hold place", "appeal add", "erase", "retention run", "log checkpoint", "indicator add",
     "indicator withdraw", "indicator approve", "indicator waiting", "indicator confirm", "indicator lookup",
     "indicator keys", "withdrawal policy", "withdrawal run", "withdrawal release", "delivery retry", "notice sent",
     "notification retry", "list add", "list remove", "proposal agree", "proposal decline", "snooze add", "snooze end",
     "restriction reconcile", "restriction reapply", "restriction accept", "policy approve", "policy rollback",
     "case take", "case assign", "case attach", "case uphold", "case release", "case block",
     "case request-information", "case escalate", "case refer", "case resume", "case reopen", "work", "serve",
     "delivery catch-up", "act ask", "act retry", "names clear",
     "feed pull", "exchange draft", "exchange correct", "exchange retract", "exchange feedback", "exchange retry",
     "inquiry ask"],
    WRITES,
) | dict.fromkeys(
    ["init", "demo", "policy test", "policy diff", "policy keygen", "policy sign", "policy schema", "person token",
     "simulate", "names build", "names status", "names check", "policy packs", "policy install", "policy rates",
     "adapter new", "lookup", "feed show", "feed publish", "feed renew", "feed rotate",
     "exchange reasons",
     *(command for command, *_ in COMMANDS if command.startswith("hub "))],
    ELSEWHERE,
) | dict.fromkeys(
    ["referral receive", "referral correct", "referral offer", "referral hold", "referral release", "referral acted",
     "referral fed-back", "referral withdraw", "referral close", "referral undo"],
    REFUSED,
)  # fmt: skip


@dataclass
class World:
    """One history, as somebody without the role sees it."""

    directory: Path
    decisions: list[str] = field(default_factory=list)
    directive: str = "dir_unknown"
    referral: str = "ref_unknown"
    shown: dict[str, Any] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class History:
    """What differs between worlds: who is known to the coalition, for whom a request is in force, and who is named.

    `named` says whether there are tips about the merchant and its account: one is held, with a request to keep the
    merchant open, and the time that law enforcement has for the other is over.
    """

    known: bool
    kept_open: str | None = None
    named: bool = False


Play = Callable[[History], World]


def events(start: datetime) -> list[Event]:
    shared = {"merchant": {"id": "m_1"}, "account": {"id": "acct_m_1"}}
    account = [{"kind": "bank_account", "value": "GB00000000000000000000"}]
    kinds = ("merchant.onboarding", "payout.requested", "payment.succeeded", "dispute.opened", "payout.requested")
    return [
        make_event(kind, id=f"evt_{n}", occurred_at=start + timedelta(minutes=n), identifiers=account, **shared)
        for n, kind in enumerate(kinds * 2)
    ]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Play:
    template = tmp_path / "template"
    template.mkdir()
    create(template)
    for old in (template / "policies").iterdir():
        old.unlink()
    (template / "policies" / "payouts.yaml").write_text(POLICY)
    configured = (template / "paycordon.yaml").read_text() + ANA.format(digest=digest_of_token(TOKEN))
    (template / "paycordon.yaml").write_text(configured)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    monkeypatch.setenv("PAYCORDON_TOKEN", TOKEN)

    def played(history: History) -> World:
        world = World(tmp_path / "world")
        shutil.copytree(template, world.directory)
        monkeypatch.chdir(world.directory)
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "paycordon"):
            lived(world, load_config(Path("paycordon.yaml"), {}), history, start)
        world.logged = [record.getMessage() for record in caplog.records]
        for command, ways in ASKED.items():
            for way in ways:
                ask(world, [*command.split(), *way, *(() if command in AS_TEXT else ("--json",))])
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(world.directory)
        return world

    return played


def lived(world: World, config: Config, history: History, start: datetime) -> None:
    """Screen the events of a world, and let a worker do all that follows."""
    clock = FrozenClock(start)
    keys = {name: secret.encode() for name, secret in config.identifier_keys.keys.items()}
    digester, store = Digester(keys, config.identifier_keys.current), Store.open(config.store)
    cordon = Cordon(
        store,
        load_policies([Path("policies/payouts.yaml")]),
        Plugins({"checks": builtin_checks}),
        digester,
        limits=Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10)),
        clock=clock,
        monotonic=lambda: 0.0,
        randomness=lambda size: b"\x07" * size,
    )
    if history.known:
        digest = digester.digest(Identifier(kind="bank_account", value="GB00000000000000000000"))
        known = Indicator(
            digest=digest, kind="bank_account", source="IWF", reference="case-7", confidence=90, status="confirmed"
        )
        with store.write() as connection:
            indicators.add(connection, known, clock())
    else:  # the log is as long
        digest = digester.digest(Identifier(kind="bank_account", value="GB99999999999999999999"))
        other = Indicator(
            digest=digest, kind="bank_account", source="IWF", reference="case-7", confidence=90, status="confirmed"
        )
        with store.write() as connection:
            indicators.add(connection, other, clock())
    if history.kept_open is not None:
        world.directive = keep_open(store, history.kept_open, clock())
    if history.named:
        world.referral = hand_over(store, digester, clock())
    for event in events(start):
        clock.advance(timedelta(minutes=1))
        decision = cordon.screen(event)
        world.decisions.append(decision.model_dump_json())
        world.shown[f"in force {event.id}"] = cordon.in_force(decision)
        world.shown[f"again {event.id}"] = cordon.screen(event).model_dump_json()
        preview = cordon.preview(event.model_copy(update={"id": f"{event.id}-preview"}))
        world.shown[f"preview {event.id}"] = preview.model_dump_json()
    Worker(cordon, {}, deadlines=config.clocks, clock=clock).drain()
    checkpoint(store, load_private_key(config.log_signing_key or ""), clock())
    lines = generate_latest(cordon.metrics.registry).decode().splitlines()
    world.shown["/metrics"] = [
        line for line in lines if "_created" not in line
    ]  # when counting began, by the real clock
    cordon.close()


def keep_open(store: Store, merchant: str, now: datetime) -> str:
    terms = Terms(Kind.KEEP_OPEN, merchant, "", "Synthetic Bureau", "LETTER-7", now, now + timedelta(days=90))
    with store.write() as connection:
        placed = directives.place(connection, terms, by=RHEA, reason="r", now=now, longest=timedelta(days=183))
    return placed.id


def hand_over(store: Store, digester: Digester, now: datetime) -> str:
    """Take in two tips about the merchant and the account, and offer them to law enforcement; it has one held."""
    account = {"kind": "bank_account", "value": "GB00000000000000000000"}
    minute = Span(timedelta(minutes=1))
    doing = Doing(RHEA, "r", now, Practice(ReferralsSection(offer=minute, law_enforcement=minute)))
    with store.write() as connection:
        for reference in ("T-1", "T-2"):
            tip = Tip(source="house", reference=reference, identifiers=(Clue(**account),), merchants=("m_1",))
            known = tuple(tip.indicators(digester))
            id_ = referring.receive(connection, About("house", reference, now, "", "", ("m_1",), known), doing).id
            referring.offer(connection, id_, "Synthetic Bureau", doing)
        letter = Letter("Synthetic Bureau", "LETTER-7", now + timedelta(days=90))
        referral_holds.hold(connection, id_, letter, doing)
    return id_


def ask(world: World, arguments: list[str]) -> None:
    onboarding, decision = (json.loads(world.decisions[n])["id"] for n in (0, 1))
    names = {"decision": decision, "onboarding": onboarding, "directive": world.directive, "referral": world.referral}
    filled = [each.format(**names) for each in arguments]
    result = CliRunner().invoke(build(filled), filled)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    said = (result.exit_code, result.stdout, result.stderr)
    world.shown[" ".join(arguments)] = said


def differences(one: World, other: World, but: tuple[str, ...] = ()) -> dict[str, tuple[Any, Any]]:
    assert one.shown.keys() == other.shown.keys()
    pairs = {name: (one.shown[name], other.shown[name]) for name in one.shown if not name.startswith(but or ("\0",))}
    pairs |= {"decisions": (one.decisions, other.decisions), "logged": (one.logged, other.logged)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def test_every_command_is_asked_or_said_why_not() -> None:
    assert {command for command, *_ in COMMANDS} == ASKED.keys() | NOT_ASKED.keys()
    assert not ASKED.keys() & NOT_ASKED.keys()


def test_somebody_kept_open_looks_like_somebody_of_whom_nothing_is_known(play: Play) -> None:
    """What makes the difference is what the coalition knows, and it has told that: this alone is not compared."""
    honest = play(History(known=False))
    named = play(History(known=False, named=True))
    assert named.referral != honest.referral
    assert differences(honest, named) == {}

    kept = play(History(known=True, kept_open="m_1"))
    assert differences(honest, kept, but=("indicator list", "log verify")) == {}
    for refused in ("directive list --by ana", "directive list --by ana --all", "referral list --by ana --all --json"):
        code, said, error = (kept if "directive" in refused else named).shown[refused]
        assert (code, said) == (2, "")
        assert "takes the role `restricted`" in error


def test_a_request_about_somebody_else_covers_nobody(play: Play) -> None:
    known = play(History(known=True))
    assert differences(known, play(History(known=True, kept_open="m_2"))) == {}
    assert '"outcome":"hold"' in known.decisions[0]  # and the comparison would see a difference
