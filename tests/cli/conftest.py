from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from paycordon.cli import build


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The JSON error on stderr."""
        return json.loads(self.err)["error"]


Cli = Callable[..., Done]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run the command line in this process: its arguments, and what it is given on stdin."""
    monkeypatch.delenv("PAYCORDON_CONFIG", raising=False)
    monkeypatch.delenv("PAYCORDON_DEBUG", raising=False)

    def run(*args: str | Path, stdin: str | bytes = "") -> Done:
        arguments = [str(arg) for arg in args]
        result = CliRunner().invoke(build(arguments), arguments, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def deployment(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory made by `paycordon init`, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    done = cli("init")
    assert done.code == 0, done.err
    return tmp_path


def event(number: int = 1, **overrides: Any) -> dict[str, Any]:
    """A synthetic event as JSON-like values."""
    return {
        "id": f"evt_{number}",
        "type": "merchant.onboarding",
        "occurred_at": "2026-03-02T12:00:00Z",
        "gateway": "stripe",
        "instance": "stripe_main",
        "account": {"id": f"acct_{number}"},
        "merchant": {"id": f"m_{number}", "mcc": "5734"},
        "identifiers": [{"kind": "email", "value": f"seller{number}@shop.example"}],
        **overrides,
    }


@pytest.fixture
def make_event() -> Callable[..., dict[str, Any]]:
    return event


@pytest.fixture
def known(cli: Cli, deployment: Path) -> str:
    """An indicator that knows the first event's e-mail address; returns its digest."""
    done = cli(
        *("indicator", "add", "--kind", "email", "--value-file", "-", "--source", "IWF", "--reference", "case-7"),
        *("--confidence", "90", "--status", "confirmed", "--by", "ada", "--reason", "IWF told us", "--json"),
        stdin="Seller1@Shop.example\n",
    )
    assert done.code == 0, done.err
    return str(done.json[0]["digest"])


@pytest.fixture
def hold(cli: Cli, known: str) -> str:
    """A hold on the first event's merchant; returns its id."""
    assert cli("screen", stdin=json.dumps(event())).code == 1
    (found,) = cli("hold", "list", "--json").json
    return str(found["id"])


@pytest.fixture
def configured(hold: str, deployment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of a deployment that knows the instance of the held account."""
    monkeypatch.setenv("KEY", "sk_live_simulated")
    monkeypatch.setenv("SECRET", "whsec_simulated")
    config = deployment / "paycordon.yaml"
    gateway = {"adapter": "stripe", "mode": "live", "api_key": "env:KEY", "webhook_secrets": ["env:SECRET"]}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"gateways": {"stripe_main": gateway}}))
    return deployment / "paycordon.db"
