"""The shipped JSON Schemas are those of the models, and say yes and no to what the models do."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from paycordon.decisions import Decision, Finding, Outcome, RuleMatch
from paycordon.events import EventType
from paycordon.schemas import FILES, generate, shipped
from paycordon.testing import NOON, make_event


def problems(name: str, value: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(shipped(name)).iter_errors(value)]


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_schema_is_that_of_the_model(name: str) -> None:
    current = files("paycordon.schemas").joinpath(name).read_text(encoding="utf-8")

    assert current == generate()[name], "python -m paycordon.schemas src/paycordon/schemas"


def test_the_schemas_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "paycordon.schemas"]
    subprocess.run([*command, str(tmp_path)], check=True, timeout=60)

    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == generate()
    without = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (without.returncode, without.stderr[:6]) == (2, "usage:")


@pytest.mark.parametrize("type_", [*EventType, "merchant.renamed"])
def test_an_event_in_json_fits_its_schema(type_: str) -> None:
    assert problems("event.v1.json", make_event(type_).model_dump(mode="json")) == []
    assert problems("event.v1.json", make_event(type_).model_dump(mode="json", exclude_none=True)) == []


@pytest.mark.parametrize(
    "wrong",
    [{"id": ""}, {"colour": "red"}, {"occurred_at": 3}, {"type": "Payout"}, {"account": None}, {"mode": "perhaps"}],
    ids=str,
)
def test_what_is_no_event_does_not_fit(wrong: dict[str, Any]) -> None:
    assert problems("event.v1.json", {**make_event().model_dump(mode="json"), **wrong})


def test_a_decision_in_json_fits_its_schema() -> None:
    event = make_event("payout.requested")
    decision = Decision(
        id="dec_1",
        event_id=event.id,
        event_type=event.type,
        instance=event.instance,
        mode=event.mode,
        merchant="m_1",
        subject=event.subject,
        outcome=Outcome.HOLD,
        matches=(RuleMatch(policy="p", rule="r", outcome=Outcome.HOLD),),
        findings=(Finding(check="c", code="payout.velocity", evidence={"payouts": 6, "share": 0.5, "kind": None}),),
        decided_at=NOON + timedelta(seconds=1),
    )
    document = decision.model_dump(mode="json")

    assert problems("decision.v1.json", document) == []
    assert problems("decision.v1.json", {**document, "outcome": "perhaps"})
