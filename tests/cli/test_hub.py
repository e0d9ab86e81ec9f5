"""`paycordon hub` and `paycordon lookup`, the hub in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml


@contextmanager
def served(directory: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "paycordon", "hub", "serve", "-d", str(directory), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
        assert "Traceback" not in err, err


LIST = "kind,value\nemail,known@shop.example\niban,NL91 ABNA 0417 1643 00\n"


@pytest.fixture
def configure(deployment: Path) -> Any:
    """Writes a hub into the member's configuration."""

    def write(**hubs: dict[str, Any]) -> None:
        path = deployment / "paycordon.yaml"
        path.write_text(yaml.safe_dump(json.loads(json.dumps(yaml.safe_load(path.read_text()) | {"hubs": hubs}))))

    return write


def test_a_hub_from_its_start_to_a_lookup(cli, deployment: Path, configure, monkeypatch) -> None:
    made = cli("hub", "init", "--json").json
    assert cli("hub", "init").code == 2
    assert "no list yet" not in cli("hub", "status").out
    assert "no members" in cli("hub", "members").out
    built = cli("hub", "build", "-d", "hub", Path("list.csv"))
    assert built.code == 2
    Path("list.csv").write_text(LIST)
    built = cli("hub", "build", "list.csv")
    assert (
        "2 entries in 1 buckets of 1,024 with at least 2 true ones: a lookup tells the hub 0 bits of 1.0" in built.out
    )
    token = cli("hub", "add-member", "acme", "--json").json["token"]
    monkeypatch.setenv("HUB_TOKEN", token)

    with served(deployment / "hub") as url:
        configure(coalition={"url": url, "token": "env:HUB_TOKEN", "pinned": [made["public_key"]]})
        asked = "kind,value\nemail,Known@Shop.example\nemail,else@shop.example\n\niban,NL91ABNA0417164300\n"
        found = cli("lookup", "-", stdin=asked)
        as_json = cli("lookup", "--hub", "coalition", "--json", stdin=asked)
        unknown = cli("lookup", "--kind", "email", stdin="else@shop.example\n")

        assert found.code == as_json.code == 1, found.err
        assert "2 of 3 are known to coalition" in found.out
        assert [(each["line"], each["known"]) for each in as_json.json["answers"]] == [(2, True), (3, False), (5, True)]
        assert (unknown.code, unknown.out) == (0, "0 of 1 are known to coalition\n")
        assert "known@" not in found.out.casefold() + as_json.out + found.err

        cli("hub", "add-member", "acme", "--per-day", "1", "--burst", "64")
        many = "".join(f"n{n}@shop.example\n" for n in range(70))
        monkeypatch.setenv("HUB_TOKEN", cli("hub", "add-member", "acme", "--burst", "64", "--json").json["token"])
        partly = cli("lookup", "--kind", "email", "--json", stdin=many)
        assert partly.code == 2
        assert (partly.json["asked"], partly.json["answered"]) == (70, 0)
        assert partly.error["kind"] == "HubUnavailable"

    audit = cli("hub", "audit", "--json")
    assert audit.json["first_bad"] is None
    assert [each["number"] for each in audit.json["entries"] if each["what"] == "evaluate"] == [3, 3, 1]
    status = cli("hub", "status", "--check", "--json").json
    assert (status["members"], status["damaged"], status["epochs"][0]["entries"]) == (1, [], 2)


def test_rotation_and_members_by_command(cli, deployment: Path) -> None:
    first = cli("hub", "init", "--json").json["public_key"]
    Path("list.csv").write_text(LIST)
    assert "epoch 1 waits for its list" in cli("hub", "rotate").err
    cli("hub", "build", "list.csv")
    second = cli("hub", "rotate", "--json").json
    assert second["epoch"] == 2
    epochs = cli("hub", "build", "list.csv", "--json").json
    assert [(each["number"], each["public_key"]) for each in epochs] == [(1, first), (2, second["public_key"])]
    assert epochs[0]["ends_at"] is not None

    cli("hub", "add-member", "acme")
    assert [each["name"] for each in cli("hub", "members", "--json").json] == ["acme"]
    assert cli("hub", "remove-member", "acme").code == 0
    assert cli("hub", "remove-member", "acme").code == 2
    assert cli("hub", "add-member", "Acme Ltd").code == 2


def test_what_a_lookup_needs_is_said(cli, deployment: Path, configure) -> None:
    assert "names no hub" in cli("lookup", stdin="x").err
    hub = {"url": "https://hub.example", "token": "env:PATH", "pinned": ["aa" * 32]}
    configure(one=hub, two=hub | {"pinned": ["ab" * 32]})
    assert "`one`, `two`" in cli("lookup", stdin="x").err
    assert "no such hub" in cli("lookup", "--hub", "three", stdin="x").err
    for text, problem in (("x", "neither"), ("", "empty"), ("kind,value\nemail\n", ":2:1: the line has 1 columns")):
        done = cli("lookup", "--hub", "one", stdin=text)
        assert done.code == 2
        assert problem in done.err
    configure(one=hub | {"token": "written-out"})
    assert "plain text" in cli("lookup", stdin="x").err
    configure(one=hub | {"url": "http://hub.example"})
    assert cli("lookup", stdin="x").code == 2
