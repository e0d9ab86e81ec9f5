from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from paycordon.screening import Cordon
from paycordon.store import Store


def counts(deployment: Path) -> list[int]:
    store = Store.open(f"sqlite:///{deployment / 'paycordon.db'}")
    try:
        with store.read() as connection:
            tables = ("events", "decisions", "holds", "cases", "log", "policy_sets")
            return [int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {each}").scalar_one()) for each in tables]
    finally:
        store.close()


@pytest.fixture
def decided(cli, known: str, make_event) -> str:
    """The id of a decision to hold."""
    return str(cli("screen", "-", "--json", stdin=json.dumps(make_event())).json["id"])


def test_a_decision_names_rule_values_indicator_and_ways_out(cli, decided: str) -> None:
    done = cli("policy", "explain", decided)

    assert done.code == 0, done.err
    assert f"decision {decided}; merchant m_1" in done.out
    assert "✓ indicator-certain → hold" in done.out
    assert "f.confidence = 0.9; params.certain = 0.8" in done.out
    assert "behind it: indicator" in done.out
    assert "what would have had to differ for a milder outcome" in done.out
    assert "shop.example" not in done.out


def test_a_changed_policy_does_not_change_the_explanation_of_what_it_did_not_judge(
    cli, deployment: Path, decided: str
) -> None:
    policy = deployment / "policies" / "starter.yaml"
    before = cli("policy", "explain", decided, "--json").json
    policy.write_text(policy.read_text().replace("certain: 0.8", "certain: 0.95"))

    after = cli("policy", "explain", decided, "--json").json

    assert after == before
    assert after["gone"] == []


def test_text_that_is_gone_is_said_to_be_gone(cli, deployment: Path, decided: str) -> None:
    policy = deployment / "policies" / "starter.yaml"
    policy.write_text(policy.read_text().replace("certain: 0.8", "certain: 0.95"))
    store = Store.open(f"sqlite:///{deployment / 'paycordon.db'}")
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM policy_files")
    store.close()

    done = cli("policy", "explain", decided)

    assert done.code == 0
    assert "that judged is gone; the current one is shown instead" in done.out
    assert "does not come out again" in done.out


def test_an_event_is_tried_without_a_trace(cli, deployment: Path, known: str, make_event) -> None:
    Path("event.json").write_text(json.dumps(make_event()))
    before = counts(deployment)

    done = cli("policy", "explain", "event.json", "--json")

    assert (done.json["outcome"], done.json["decision"]) == ("hold", None)
    assert counts(deployment) == before


def test_a_changed_policy_is_tried_without_coming_into_force(cli, deployment: Path, decided: str, make_event) -> None:
    policy = deployment / "policies" / "starter.yaml"
    policy.write_text(policy.read_text().replace("certain: 0.8", "certain: 0.95"))
    another = make_event(2, identifiers=make_event()["identifiers"])
    Path("event.json").write_text(json.dumps(another))
    before = counts(deployment)

    done = cli("policy", "explain", "event.json", "--json")

    assert done.json["outcome"] == "review"
    assert counts(deployment) == before


def test_an_event_that_was_decided_before_is_explained_as_it_was(cli, decided: str, make_event) -> None:
    Path("event.json").write_text(json.dumps(make_event()))

    done = cli("policy", "explain", "event.json", "--json")

    assert done.json["decision"] == decided
    assert decided in done.err


def test_the_picture_is_written(cli, decided: str) -> None:
    done = cli("policy", "explain", decided, "--svg", "why.svg")

    assert done.code == 0
    assert ElementTree.parse("why.svg").getroot().tag.endswith("svg")
    assert "internal" in done.err


@pytest.mark.parametrize("what", ["dec_nosuch", "nosuch.json"])
def test_what_is_not_there_exits_with_2(cli, deployment: Path, what: str) -> None:
    done = cli("policy", "explain", what)

    assert (done.code, done.out) == (2, "")


def test_two_events_at_once_are_refused(cli, deployment: Path, make_event) -> None:
    Path("event.json").write_text(json.dumps(make_event(1)) + "\n" + json.dumps(make_event(2)))

    assert cli("policy", "explain", "event.json").code == 2


def test_a_preview_says_what_screening_then_decides(cli, deployment: Path, known: str, make_event) -> None:
    from paycordon.events import Event

    cordon = Cordon.from_config("paycordon.yaml")
    try:
        event = Event.model_validate(make_event())
        tried, screened = cordon.preview(event), cordon.screen(event)
        again = cordon.preview(event)
    finally:
        cordon.close()

    same = {"id": "", "decided_at": screened.decided_at, "elapsed_us": 0}
    assert tried.id.startswith("unrecorded_")
    assert tried.model_copy(update=same) == screened.model_copy(update=same)
    assert again == screened
