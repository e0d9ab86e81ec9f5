from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest


@pytest.fixture
def linked(cli, known: str, make_event) -> None:
    """m_1 is held; m_2 has its account as well, and m_3 the telephone of m_2."""
    iban = {"kind": "iban", "value": "GB82WEST12345698765432"}
    phone = {"kind": "phone", "value": "+31201234567"}
    first = make_event(1)
    cli("screen", stdin=json.dumps({**first, "identifiers": [*first["identifiers"], iban]}))
    cli("screen", stdin=json.dumps(make_event(2, identifiers=[iban, phone])))
    cli("screen", stdin=json.dumps(make_event(3, identifiers=[phone])))


def test_the_way_to_a_held_merchant_as_text_json_and_picture(cli, linked: None, tmp_path: Path) -> None:
    shown = cli("links", "m_3", "--svg", tmp_path / "links.svg")
    assert shown.code == 1
    assert "2 other merchants within 2 hops" in shown.out
    assert "m_1, 2 hops away" in shown.out
    assert ElementTree.parse(tmp_path / "links.svg").getroot().tag.endswith("svg")

    found = cli("links", "m_3", "--json").json
    assert [step["to"] for step in found["nearest"]["way"]] == ["m_2", "m_1"]
    assert [step["kind"] for step in found["nearest"]["way"]] == ["phone", "iban"]
    everything = shown.out + json.dumps(found) + (tmp_path / "links.svg").read_text()
    assert "12345698765432" not in everything
    assert "201234567" not in everything
    near = cli("links", "m_3", "--hops", "1", "--json")
    assert (near.code, near.json["nearest"]) == (0, None)


def test_all_that_hang_together(cli, linked: None) -> None:
    shown = cli("links", "--components")
    assert shown.code == 1
    assert "3 merchants hang together in 1 group, over 2 identifiers" in shown.out
    found = cli("links", "--components", "--json").json
    assert (found["components"], found["largest"][0]["stopped"]) == (1, 1)
    assert found["largest"][0]["some"] == ["m_1", "m_2", "m_3"]
    left_out = cli("links", "--components", "--most-shared", "1")
    assert left_out.code == 0
    assert "share them: 2 identifiers" in left_out.out


def test_what_the_own_warning_list_names_links_nobody(cli, linked: None, deployment: Path) -> None:
    (deployment / "warnings.csv").write_text("kind,value,label\niban,GB82 WEST 1234 5698 7654 32,payout service\n")
    with (deployment / "paycordon.yaml").open("a") as config:
        config.write("\nindicators: {warnings: [warnings.csv]}\n")
    shown = cli("links", "m_2")
    assert shown.code == 0
    assert "on a warning list" in shown.out
    assert "1 other merchant within 1 hop; 1 identifier left out" in shown.out
    assert cli("links", "--components", "--json").json["hubs"] == 1


def test_nothing_linked_tells_what_to_do_next(cli, deployment: Path, make_event) -> None:
    assert "no two merchants" in cli("links", "--components").out
    cli("screen", stdin=json.dumps(make_event(4)))
    alone = cli("links", "m_4")
    assert alone.code == 0
    assert "--components" in alone.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "name a merchant"),
        (("m_1", "--components"), "name a merchant"),
        (("--components", "--svg", "x.svg"), "one merchant's"),
        (("m_unknown",), "no event of merchant"),
    ],
)
def test_wrong_questions(cli, deployment: Path, args: tuple[str, ...], says: str) -> None:
    done = cli("links", *args)
    assert done.code == 2
    assert says in done.err


@pytest.mark.parametrize("words", [("m_3", "--svg"), ("--svg", "--json", "m_3"), ("m_3", "--svg", ".")])
def test_a_picture_is_named_after_the_merchant(cli, linked: None, deployment: Path, words: tuple[str, ...]) -> None:
    assert cli("links", *words).code == 1
    assert ElementTree.parse(deployment / "links-m_3.svg").getroot().tag.endswith("svg")


def test_a_picture_is_printed_alone(cli, linked: None) -> None:
    printed = cli("links", "m_3", "--svg", "-")
    assert printed.code == 1
    assert ElementTree.fromstring(printed.out).tag.endswith("svg")


def test_a_name_that_is_no_file_name_stays_in_the_directory(cli, linked: None, deployment: Path, make_event) -> None:
    cli("screen", stdin=json.dumps(make_event(9, merchant={"id": "../m/9"})))
    assert cli("links", "../m/9", "--svg").code == 0
    assert (deployment / "links-.._m_9.svg").exists()


def test_a_picture_that_cannot_be_written(cli, linked: None, tmp_path: Path) -> None:
    done = cli("links", "m_3", "--svg", tmp_path / "none" / "links.svg")
    assert (done.code, "the picture cannot be written" in done.err) == (2, True)
