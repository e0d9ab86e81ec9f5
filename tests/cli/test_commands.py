"""What holds for every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from paycordon.cli import COMMANDS, build
from paycordon.errors import StoreUnavailable

HEAVY = (
    "sqlalchemy", "alembic", "cel_expr_python", "cryptography", "fastapi", "pydantic", "pluggy", "rich", "ruamel",
    "stripe", "tenacity", "uvicorn", "paycordon_stripe",
)  # fmt: skip
NEEDS_CONFIG = [
    ("doctor",),
    ("screen", "event.json"),
    ("serve",),
    ("work", "--once"),
    ("policy", "lint"),
    ("hold", "list"),
    ("hold", "show", "x"),
    ("hold", "release", "x", "--by", "a", "--reason", "b", "--yes"),
    ("indicator", "list"),
    ("delivery", "list"),
    ("delivery", "retry", "1"),
    ("delivery", "catch-up"),
    ("log", "verify"),
    ("log", "checkpoint"),
    ("log", "public-key"),
]


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    command = command or typer.main.get_command(build())
    for name, inner in getattr(command, "commands", {}).items():
        if hasattr(inner, "commands"):
            yield from commands(inner, (*path, name))
        else:
            yield " ".join((*path, name)), inner


def described(command: Any) -> list[Any]:
    return [(each.name, each.opts, each.secondary_opts, each.required) for each in command.params]


def run(*args: str, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paycordon", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60, **options)


def test_every_command_and_every_option_says_what_it_does() -> None:
    found = dict(commands())

    assert set(found) == {name for name, _, _ in COMMANDS}
    for name, command in found.items():
        assert (command.help or "").split("\n")[0].endswith("."), name
        undocumented = [p.name for p in command.params if p.name != "help" and not getattr(p, "help", None)]
        assert undocumented == [], name


def test_every_command_speaks_json() -> None:
    silent = [name for name, command in commands() if all("--json" not in p.opts for p in command.params)]

    assert silent == []


def test_every_command_that_works_on_a_deployment_takes_a_configuration() -> None:
    without = {name for name, command in commands() if all("--config" not in p.opts for p in command.params)}

    assert without == {
        "adapter new",
        "init",
        "plugins",
        "demo",
        "exchange reasons",
        "feed renew",  # a publisher need not be a deployment
        "feed rotate",
        "person token",
        "policy keygen",
        "policy packs",
        "policy rates",
        "policy schema",
        "simulate",
    } | {name for name, _ in commands() if name.startswith("hub ")}  # a hub is nobody's deployment


@pytest.mark.parametrize("command", NEEDS_CONFIG, ids=" ".join)
def test_a_missing_configuration_says_how_to_make_one(cli, tmp_path: Path, monkeypatch, command) -> None:
    monkeypatch.chdir(tmp_path)

    done = cli(*command)

    assert done.code == 2
    assert done.err == (
        "error: there is no configuration `paycordon.yaml` "
        "(make one with `paycordon init`, or name one with `--config`)\n"
    )
    assert list(tmp_path.iterdir()) == []


BAD_CONFIGS = {
    "malformed": (b"store: [", ":"),
    "empty": (b"", ":1:1: "),
    "not UTF-8": (b"store: \xff\n", ":1:8: "),
    "unknown key": (b"colour: red\n", ":1:1: unknown key `colour`"),
    "wrong type": (b"screening: fast\npolicies: [policies]\n", "`screening`"),
    "deep": (b"checks: " + b"[" * 1_000, ":1:"),
    "huge": (b"# " + b"x" * 1_100_000, "larger than 1 MiB"),
    "missing secret": (None, "PAYCORDON_NOSUCH"),
    "plain secret": (None, "plain text"),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_bad_configuration_is_located_and_nothing_is_made(cli, deployment: Path, name: str) -> None:
    content, told = BAD_CONFIGS[name]
    config = deployment / "paycordon.yaml"
    if name == "missing secret":
        config.write_text(config.read_text().replace("file:.paycordon/identifier.key", "env:PAYCORDON_NOSUCH"))
    elif name == "plain secret":
        config.write_text(config.read_text().replace("file:.paycordon/api.token", "s3cret-in-plain-sight-0123"))
    else:
        config.write_bytes(content or b"")

    for command in (c for c in NEEDS_CONFIG if c[0] != "doctor"):
        done = cli(*command)
        assert done.code == 2, command
        assert done.err.startswith("error: paycordon.yaml:"), done.err
        assert told in done.err
        assert "s3cret" not in done.err
        assert done.out == ""
    doctor = cli("doctor", "--json")
    assert doctor.code == 1
    assert told in doctor.json["found"][0]["message"]
    assert not (deployment / "paycordon.db").exists()


def test_errors_are_json_when_json_was_asked_for(cli, deployment: Path) -> None:
    (deployment / "paycordon.yaml").write_text("store: 3\n\ncolour: red\n")

    done = cli("hold", "list", "--json")

    assert done.code == 2
    assert {key: done.error[key] for key in ("kind", "file", "line")} == {
        "kind": "ConfigError", "file": "paycordon.yaml", "line": 1
    }  # fmt: skip
    assert cli("hold", "list", "--nosuch", "--json").error["kind"] == "UsageError"
    assert cli("nosuch", "--json").error["kind"] == "UsageError"


@pytest.mark.parametrize(
    "args", [("nosuch",), ("hold", "list", "--nosuch"), ("hold", "show"), ("serve", "--port", "x")]
)
def test_a_usage_error_is_one_line_and_exits_with_2(cli, args: tuple[str, ...]) -> None:
    done = cli(*args)

    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_a_fault_of_ours_shows_no_personal_data_and_no_traceback(cli, deployment: Path, monkeypatch) -> None:
    from paycordon.store import Store

    def broken(*_: object, **__: object) -> Store:
        raise KeyError("seller@shop.example")

    monkeypatch.setattr(Store, "open", broken)
    done = cli("hold", "list")
    assert done.code == 3
    assert done.err.startswith("error: internal error (KeyError)")
    assert "shop.example" not in done.err

    monkeypatch.setenv("PAYCORDON_DEBUG", "1")
    assert "Traceback" in cli("hold", "list").err


def test_an_interrupt_ends_with_130(cli, deployment: Path, monkeypatch) -> None:
    from paycordon.store import Store

    def interrupted(*_: object, **__: object) -> Store:
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "open", interrupted)
    assert cli("hold", "list").code == 130


def test_an_unavailable_store_is_one_line(cli, deployment: Path, monkeypatch) -> None:
    from paycordon.store import Store

    def unavailable(*_: object, **__: object) -> Store:
        raise StoreUnavailable("the store cannot be used: disk full")

    monkeypatch.setattr(Store, "open", unavailable)
    assert cli("hold", "list").err == "error: the store cannot be used: disk full\n"


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    script = (
        "import sys\nsys.argv = ['paycordon', '--help']\nfrom paycordon.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "import json, time\n"
        "print(json.dumps([list(sys.modules), time.process_time()]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules, took = json.loads(done.stderr)

    assert set(HEAVY) & set(modules) == set()
    assert all(name.split()[0] in done.stdout for name, _, _ in COMMANDS)
    assert took < 1.5  # 0.25 s of CPU on an idle machine; tests share theirs


def test_what_is_built_for_one_command_is_what_all_have_of_it() -> None:
    for name, whole in commands():
        ((found, alone),) = commands(typer.main.get_command(build([*name.split(), "--json"])))
        assert (found, alone.help, described(alone)) == (name, whole.help, described(whole))
    group = dict(commands(typer.main.get_command(build(["hold", "--help"]))))
    assert set(group) == {name for name, _, _ in COMMANDS if name.startswith("hold ")}
    for unknown in ([], ["--version"], ["hodl", "list"]):
        assert dict(commands(typer.main.get_command(build(unknown)))).keys() == {name for name, _, _ in COMMANDS}


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert run("--version").stdout == f"paycordon {version('paycordon')}\n"


def test_output_that_is_piped_has_no_colour_and_survives_a_terminal_without_utf8(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = run("plugins", cwd=tmp_path, env=environment)

    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "indicator_match" in done.stdout


def test_a_reader_that_goes_away_ends_a_command_quietly(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "paycordon", "plugins"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (141, "")


def test_plugins_are_described_without_a_configuration(cli, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = cli("plugins", "--json").json

    checks = {check["id"]: check for check in found["checks"]}
    assert checks["indicator_match"]["emits"]["indicator.match"] == "an identifier is known to the coalition"
    (setting,) = checks["indicator_match"]["settings"]
    assert (setting["name"], setting["type"], setting["default"]) == ("min_confidence", "integer", 1)
    assert ("checks", "paycordon") in [(each["name"], each["distribution"]) for each in found["plugins"]]
    (feed,) = cli("plugins", "csv", "--json").json["feeds"]
    settings = {each["name"]: each for each in feed["settings"]}
    assert (settings["columns"]["required"], settings["every"]["default"]) == (True, "PT45S")
    assert "bundle" in cli("plugins").out
    (recipient,) = cli("plugins", "post", "--json").json["recipients"]
    assert recipient["verbs"] == ["add", "correct", "feedback", "retract"]
    unknown = cli("plugins", "nosuch")
    assert (unknown.code, "no check, adapter or format `nosuch`" in unknown.err) == (2, True)


def test_an_adapter_is_shown_with_what_it_can_and_cannot_do(cli) -> None:
    pytest.importorskip("paycordon_stripe")
    (adapter,) = json.loads(cli("plugins", "stripe", "--json").out)["adapters"]

    held = next(each for each in adapter["capabilities"] if each["restriction"] == "payouts_held")
    assert held["grade"] == "partial"
    assert held["how"]
    assert held["limits"]
    key = next(each for each in adapter["settings"] if each["name"] == "api_key")
    assert key["required"]
    assert key["type"] == "secret (env: or file:)"
    assert key["description"]
    assert "payouts_held" in cli("plugins", "stripe").out
