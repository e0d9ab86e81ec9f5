"""`paycordon policy packs`, `install` and `rates`."""

from __future__ import annotations

from pathlib import Path

import yaml

from paycordon.policy.packs import pack_names


def test_the_packs_are_listed_with_their_sources_and_how_far_to_trust_them(cli) -> None:
    shown, listed = cli("policy", "packs"), cli("policy", "packs", "--json")

    assert [each["pack"] for each in listed.json] == list(pack_names())
    assert all(name in shown.out for name in pack_names())
    assert "FIN-2021-NTC3" in shown.out
    assert "paycordon policy install PACK" in shown.out


def test_a_pack_shows_its_rules_whom_they_meet_wrongly_and_what_it_leaves_out(cli) -> None:
    shown, document = cli("policy", "packs", "fatf-ocse"), cli("policy", "packs", "fatf-ocse", "--json").json

    assert {"even-amounts", "soft"} <= set(shown.out.split())
    assert "left out" in shown.out
    (rule,) = (each for each in document["rules"] if each["id"] == "even-amounts")
    assert (rule["says"], rule["weight"], rule["status"]) == ("+1 abuse-on-demand", "soft", "test")
    assert "charities" in rule["false_positives"]
    unknown = cli("policy", "packs", "fatf", "--json")
    assert (unknown.code, unknown.error["message"]) == (2, "there is no pack `fatf`")


def test_installing_a_pack_leaves_in_force_what_is_and_holds_nobody_for_the_pack(cli, deployment: Path) -> None:
    done = cli("policy", "install", "fatf-ocse", "--json")

    names = {Path(path).name for path in done.json["created"]}
    assert (done.code, names) == (0, {"bindings.yaml", "fatf-ocse.yaml", "fatf-ocse.test.yaml"})
    assert done.json["to_be_bound"] is False
    bindings = yaml.safe_load((deployment / "policies" / "bindings.yaml").read_text())["bindings"]
    assert {each["policy"]: each["mode"] for each in bindings} == {"starter": "enforce", "fatf-ocse": "shadow"}
    assert cli("doctor").code == 0
    assert cli("policy", "test").code == 0


def test_bindings_that_are_there_are_not_touched_and_the_line_to_add_is_said(cli, deployment: Path) -> None:
    bindings = deployment / "policies" / "bindings.yaml"
    bindings.write_text("bindings:\n  - {id: starter, policy: starter, mode: enforce}\n")

    done = cli("policy", "install", "card-networks")

    assert (done.code, bindings.read_text().count("\n")) == (0, 2)
    assert "  - {id: card-networks, policy: card-networks, mode: shadow}" in done.out
    again = cli("policy", "install", "card-networks")
    assert (again.code, "exists already" in again.err) == (2, True)


def test_what_cannot_be_installed_changes_nothing(cli, deployment: Path) -> None:
    assert cli("policy", "install", "nothing").code == 2
    assert {path.name for path in (deployment / "policies").iterdir()} == {"starter.yaml"}
    config = deployment / "paycordon.yaml"
    config.write_text(config.read_text().replace("  - policies\n", "  - policies/starter.yaml\n"))
    refused = cli("policy", "install", "fatf-ocse", "--json")
    assert (refused.code, refused.error["hint"]) == (2, "say where with `--to`")


def test_a_pack_is_copied_wherever_it_is_wanted(cli, tmp_path: Path) -> None:
    done = cli("policy", "install", "card-networks", "--to", tmp_path)

    assert done.code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"card-networks.yaml", "card-networks.test.yaml"}


def test_rates_name_patterns_kinds_and_rules(cli) -> None:
    given = ("policy", "rates", "card-networks", "--seed", "3", "--scale", "0.05", "--jobs", "1")

    shown, first = cli(*given), cli(*given, "--json").json

    assert (first["seed"], first["planted"] > 0) == (3, True)
    assert {each["name"] for each in first["outcomes"]} == {"card-networks"}
    assert {"vamp", "match-04"} <= set(shown.out.split())
    assert "nothing of real merchants" in shown.err


def test_rates_take_policies_of_your_own_beside_packs(cli, deployment: Path) -> None:
    given = ("policy", "rates", "policies/starter.yaml", "card-networks", "--scale", "0.05", "--jobs", "1", "--json")

    found = cli(*given).json

    assert {each["name"] for each in found["outcomes"]} == {"starter", "card-networks"}
    shared = next(each for each in found["rules"] if each["name"] == "starter/shared-identifier")
    assert shared["patterns"]["shared-network"]["merchants"] > 0
