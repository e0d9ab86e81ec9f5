"""Two members: what one terminates, two people tell; the other holds, and lets go once it is taken back."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from paycordon.cli import build
from paycordon.testing import make_event

from .conftest import MAIL, POLICY
from .test_conformance import SECRET, Receiver

SHARED_KEY = "    all: env:COALITION_KEY\n"
TERMINATION = f"""\
recipient: coalition
kind: termination
merchant: m_1
reason: match:13
tlp: green
items:
  - {{kind: email, value: {MAIL}, confidence: 95, status: investigation}}
"""


class Member:
    """A deployment, and whoever works there by the command line."""

    def __init__(self, name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name, self.place, self._monkeypatch = name, place / name, monkeypatch
        self.place.mkdir()
        self("init")
        for old in (self.place / "policies").iterdir():
            old.unlink()
        (self.place / "policies" / "coalition.yaml").write_text(POLICY)
        path = self.place / "paycordon.yaml"
        own = "  current: k1\n  keys:\n"
        assert own in path.read_text()
        path.write_text(path.read_text().replace(own, f"  current: k1\n  shared: [all]\n  keys:\n{SHARED_KEY}"))
        # A busy machine is no dead store.
        patient = "screening:\n  budget_ms: 20000\n  store_patience_ms: 5000\n"
        assert "screening:\n  budget_ms: 200\n" in path.read_text()
        path.write_text(path.read_text().replace("screening:\n  budget_ms: 200\n", patient))

    def __call__(self, *arguments: str, stdin: str = "", code: int = 0) -> Any:
        self._monkeypatch.chdir(self.place)
        given = [*arguments, "--json"]
        result = CliRunner().invoke(build(given), given, input=stdin)
        assert result.exit_code == code, (arguments, result.stdout, result.stderr, result.exception)
        return json.loads(result.stdout) if result.stdout.strip().startswith(("{", "[")) else result.stdout

    def configure(self, text: str, store: str | None = None) -> None:
        path = self.place / "paycordon.yaml"
        said = path.read_text() + text
        if store is not None:
            said = said.replace("store: sqlite:///paycordon.db", f"store: {store}")
        path.write_text(said)

    def pays_out(self, merchant: str, minor: int, number: int, mail: str | None = MAIL) -> str:
        event = make_event(
            "payout.requested",
            id=f"evt_{number}",
            merchant={"id": merchant},
            account={"id": f"acct_{merchant}"},
            payout={"id": f"po_{number}", "amount": {"minor": minor, "currency": "EUR"}},
            identifiers=[{"kind": "email", "value": mail}] if mail else [],
        )
        self._monkeypatch.chdir(self.place)
        given = ["screen", "-", "--json"]
        result = CliRunner().invoke(build(given), given, input=event.model_dump_json(exclude_none=True))
        return str(json.loads(result.stdout.splitlines()[-1])["outcome"])

    def works(self) -> None:
        self("work", "--once")

    def agrees(self, proposal: str) -> None:
        self("proposal", "agree", proposal, "--by", "ben", "--reason", "read it")

    def proposals(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self("proposal", "list")
        return found

    def holds(self) -> list[str]:
        return [each["id"] for each in json.loads(self._text("hold", "list"))]

    def _text(self, *arguments: str) -> str:
        self._monkeypatch.chdir(self.place)
        given = [*arguments, "--json"]
        return str(CliRunner().invoke(build(given), given).stdout)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def test_what_one_member_tells_stops_money_at_another_until_it_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, postgres_url: str
) -> None:
    monkeypatch.setenv("A_HOOK", "whsec_" + base64.b64encode(b"s" * 32).decode())
    monkeypatch.setenv("B_STORE", postgres_url)
    assert "whsec_" + base64.b64encode(b"s" * 32).decode() == SECRET
    a, b = Member("a", tmp_path, monkeypatch), Member("b", tmp_path, monkeypatch)
    monkeypatch.setenv("COALITION_KEY", "c" * 32)
    a.configure(
        "exchange:\n  coalition:\n"
        "    {format: bundle, to: public, publisher: .paycordon/publisher, under: all, lasts: 90d}\n"
    )
    a.works()  # an empty bundle, so that others can begin
    shutil.copy(a.place / "public" / "metadata" / "1.root.json", b.place / "root.json")
    b.configure(
        f"feeds:\n  a: {{format: bundle, source: {a.place}/public, root: root.json, every: 6h}}\n"
        f"exchange:\n  a_itself: {{format: post, source: a, url: '{receiver.url}/hook', secrets: ['env:A_HOOK']}}\n",
        store="env:B_STORE",
    )
    assert b.pays_out("x_9", 1_000, 1) == "allow"

    # A terminates a merchant; two people tell the coalition.
    assert a.pays_out("m_1", 200_000, 1) == "block"
    drafted = a("exchange", "draft", "-", "--by", "ana", "--reason", "terminated", stdin=TERMINATION, code=1)
    assert drafted["items"] == [{"kind": "email", "seen": True}]
    shown = a("exchange", "show", drafted["contribution"], "--by", "ben")
    assert shown["messages"][0]["content"]["items"][0]["value"] == MAIL
    a.agrees(drafted["proposed"]["id"])
    a.works()
    (told,) = a("exchange", "list")["contributions"]
    assert told["state"] == "sent"

    # B reads it, and holds the same person's merchant at its next payout.
    b("feed", "pull", "a")
    b.works()
    assert b.pays_out("x_9", 1_000, 2) == "hold"
    assert b.pays_out("x_9", 1_000, 3, mail=None) == "hold", "what does not carry it, too"
    (indicator,) = b("indicator", "list")
    assert (indicator["source"], indicator["reference"], indicator["tlp"]) == ("a", drafted["contribution"], "green")
    assert indicator["category"] == "match:13"
    assert indicator["valid_until"] is not None

    # The merchant objects, which is told along; A releases, and the retraction drafts itself.
    a("appeal", "add", "--merchant", "m_1", "--by", "ana", "--id", "appeal-1", "--text-file", "-", stdin="not me")
    a.works()
    (objection,) = a.proposals()
    assert (objection["kind"], objection["proposed_by"]) == ("correction", "paycordon")
    a.agrees(objection["id"])
    a.works()
    b("feed", "pull", "a")
    b.works()
    assert [each["status"] for each in b("indicator", "list")] == ["contested"]
    for hold in a.holds():
        a("hold", "release", hold, "--by", "ana", "--reason", "the objection is right", "--yes")
    a.works()
    (retraction,) = a.proposals()
    assert (retraction["kind"], retraction["proposed_by"]) == ("retraction", "paycordon")
    a.agrees(retraction["id"])
    a.works()

    # B finds the decision, judges it again, and lets go.
    b("feed", "pull", "a")
    b.works()
    withdrawal = next(each for each in b("withdrawal", "list") if each["change"] == "withdrawn")
    b("withdrawal", "release", withdrawal["id"], "--by", "ana", "--reason", "taken back", code=1)
    (release,) = b.proposals()
    b.agrees(release["id"])
    assert b.holds() == []

    # And says what it was worth.
    b(
        "exchange",
        "feedback",
        "a",
        drafted["contribution"],
        "false_positive",
        "--by",
        "ana",
        "--reason",
        "looked into it",
    )
    b.works()
    (feedback,) = receiver.messages.values()
    assert feedback["type"] == "feedback"
    assert feedback["data"]["theirs"] == drafted["contribution"]
    assert feedback["data"]["worth"] == "false_positive"
    assert a("exchange", "list")["contributions"] == []
    for member in (a, b):
        assert member("log", "verify")["problems"] == []
