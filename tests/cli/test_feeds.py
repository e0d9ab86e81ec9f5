from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import text

from paycordon.store import Store

LINES = '{"kind": "email", "value": "%s@shop.example", "reference": "case-%s"}\n'


def configured(deployment: Path, feeds: str) -> None:
    path = deployment / "paycordon.yaml"
    path.write_text(path.read_text(encoding="utf-8") + feeds, encoding="utf-8")


def test_without_feeds_the_commands_say_what_to_do(cli, deployment: Path) -> None:
    for command in (("feed", "list"), ("feed", "pull")):
        done = cli(*command)
        assert (done.code, "feeds: {NAME:" in done.out) == (0, True)
        assert cli(*command, "--json").json == []
    assert cli("feed", "show", "none").code == 2
    assert cli("feed", "pull", "none").code == 2


def test_a_bundle_is_published_pulled_refused_when_altered_and_taken_again(cli, deployment: Path) -> None:
    Path("items.jsonl").write_text(LINES % ("a", 1) + LINES % ("b", 2))
    done = cli("feed", "publish", "items.jsonl", "--to", "bundle", "--keys", "keys", "--json")
    assert done.json == {"items": 2, "parts": 1, "written": 1, "bundle": 1, "timestamp": 1}
    Path("root.json").write_bytes(Path("bundle/metadata/1.root.json").read_bytes())
    configured(deployment, "feeds:\n  coalition: {format: bundle, source: bundle, root: root.json}\n")
    assert [each["state"] for each in cli("feed", "list", "--json").json] == ["never read"]

    (pulled,) = cli("feed", "pull", "--json").json
    assert (pulled["added"], pulled["state"]) == (2, "ok")
    assert {each["source"] for each in cli("indicator", "list", "--json").json} == {"coalition"}
    shown = cli("feed", "show", "coalition", "--json").json
    assert (shown["state"], shown["counting"]) == ("ok", 2)

    Path("items.jsonl").write_text(LINES % ("a", 1))
    assert cli("feed", "rotate", "targets", "--to", "bundle", "--keys", "keys").code == 0
    assert cli("feed", "publish", "items.jsonl", "--to", "bundle", "--keys", "keys").code == 0
    (changed,) = [each for each in Path("bundle/targets").iterdir() if len(each.read_bytes().splitlines()) == 1]
    right = changed.read_bytes()
    changed.write_bytes(right.replace(b"case-1", b"case-9"))
    done = cli("feed", "pull", "coalition")
    assert (done.code, "not to be trusted" in " ".join(done.out.split())) == (1, True)
    assert cli("feed", "list").code == 1
    assert len(cli("indicator", "list", "--json").json) == 2

    changed.write_bytes(right)
    assert cli("feed", "renew", "--to", "bundle", "--keys", "keys").code == 0
    (pulled,) = cli("feed", "pull", "coalition", "--json").json
    assert (pulled["withdrawn"], pulled["state"]) == (1, "ok")
    assert cli("feed", "list").code == 0
    assert cli("log", "verify").code == 0


def test_what_is_for_those_who_heard_it_goes_into_no_bundle(cli, deployment: Path) -> None:
    red = (LINES % ("b", 2)).replace('"case-2"', '"case-2", "tlp": "red"')
    Path("items.jsonl").write_text(LINES % ("a", 1) + red)

    refused = cli("feed", "publish", "items.jsonl", "--to", "bundle", "--keys", "keys")

    assert (refused.code, "line 2: TLP:RED" in refused.err, Path("bundle").exists()) == (2, True, False)


def test_what_changes_is_published_alone(cli, deployment: Path) -> None:
    publish = ("feed", "publish", "items.jsonl", "--to", "bundle", "--keys", "keys", "--per-part", "2")
    Path("items.jsonl").write_text("".join(LINES % (letter, n) for n, letter in enumerate("abcdefgh", start=1)))
    assert cli(*publish, "--json").json["parts"] == 4
    Path("root.json").write_bytes(Path("bundle/metadata/1.root.json").read_bytes())
    configured(deployment, "feeds:\n  coalition: {format: bundle, source: bundle, root: root.json}\n")
    cli("feed", "pull")

    Path("items.jsonl").write_text(LINES % ("i", 9) + '{"reference": "case-2", "withdrawn": true}\n')
    done = cli(*publish, "--changes")
    assert "1 items and 1 withdrawals in 2 of 4 parts as version 2" in " ".join(done.out.split())
    (pulled,) = cli("feed", "pull", "--json").json
    assert (pulled["added"], pulled["withdrawn"], pulled["state"]) == (1, 1, "ok")

    for wrong in ('{"reference": "case-2", "withdrawn": false}', '{"reference": "case-9", "withdrawn": true}'):
        Path("items.jsonl").write_text(LINES % ("i", 9) + wrong + "\n")
        assert cli(*publish, "--changes").code == 2
        assert cli(*publish).code == 2


def test_the_worker_looks_at_feeds_and_a_dead_one_delays_nothing(cli, deployment: Path) -> None:
    Path("list.csv").write_text("v,r\na@shop.example,1\n")
    configured(
        deployment,
        "feeds:\n"
        "  dead: {format: misp, source: 'http://127.0.0.1:9/events'}\n"
        "  ngo:\n    format: csv\n    source: list.csv\n"
        "    columns: {value: v, reference: r}\n    always: {kind: email}\n",
    )
    assert cli("work", "--once").code == 0

    states = {each["name"]: each["state"] for each in cli("feed", "list", "--json").json}
    assert states == {"dead": "failed", "ngo": "ok"}
    assert [each["source"] for each in cli("indicator", "list", "--json").json] == ["ngo"]


def test_secrets_and_values_are_written_nowhere(cli, deployment: Path, monkeypatch) -> None:
    monkeypatch.setenv("MISP_KEY", "misp-secret-key")
    event = {"uuid": "00000000-0000-4000-8000-000000000000", "timestamp": "1767600000"}
    wrong = {"uuid": "u", "type": "email", "value": "who@shop.example\u0000", "to_ids": True, "timestamp": "1767600000"}
    Path("misp.json").write_text(json.dumps({"Event": {**event, "Attribute": [wrong]}}))
    configured(deployment, "feeds:\n  ngo: {format: misp, source: misp.json, key: 'env:MISP_KEY'}\n")
    done = cli("feed", "pull", "--json")
    assert (done.code, done.json[0]["state"]) == (1, "refused")
    store = Store.open(f"sqlite:///{deployment / 'paycordon.db'}")
    with store.read() as connection:
        (stored,) = connection.execute(text("SELECT why FROM feeds")).scalars()
    store.close()
    for said in (stored, done.out, cli("feed", "show", "ngo").out):
        assert "shop.example" not in said
        assert "misp-secret-key" not in said
    configured(deployment, "  other: {format: misp, source: misp.json, key: written-out}\n")
    assert "plain text" in cli("feed", "list").err
