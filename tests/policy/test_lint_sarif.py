"""SARIF of lint: valid, complete, and stable under changes elsewhere in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest

from paycordon.policy import ISSUES
from paycordon.policy.lint import Files, Known, examined
from paycordon.policy.lint.sarif import sarif

ROOT = Path(__file__).parents[2]
SPECS = Path(os.environ.get("PAYCORDON_SPECS", ROOT.parent / "shared" / "specs"))
POLICY = """\
policy: p
version: 1
description: A test.
on_error: hold
review_after: 3d
rules:
  - id: payout-known
    on: [payout.requested]
    when: findings.exists(f, f.code == "x.z") && findings.exists(g, g.code == "x.z")
    then: hold
    merchant_reason: additional_information_required
    internal_reason: Why.
  - id: payout-new
    on: [payout.requested]
    when: findings.size() > 1
    then: hold  # lint: ignore P305 because nobody asked for it
    merchant_reason: additional_information_required
    internal_reason: Why.
    references: [a source]
  # lint: ignore P201 because the source may not be written down
  - id: payout-fast
    on: [payout.requested]
    when: findings.exists(f, f.code == "x.y") && event.mode == "live"
    then: hold
    merchant_reason: additional_information_required
    internal_reason: Why.
"""


def text(**properties):
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(properties)}


STRING, NUMBER = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}
LOCATION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"uri": {"type": "string", "format": "uri-reference"}, "uriBaseId": {"const": "ROOT"}},
    "required": ["uri"],
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
# What the specification (sections 3.13, 3.14, 3.19, 3.27, 3.49) says of the properties used here; no others.
EXCERPT = text(
    **{
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": text(
                tool=text(
                    driver=text(
                        name=STRING,
                        version=STRING,
                        rules={
                            "type": "array",
                            "uniqueItems": True,
                            "items": text(
                                id=STRING,
                                shortDescription=text(text=STRING),
                                help=text(text=STRING, markdown=STRING),
                                defaultConfiguration=text(level=LEVEL),
                                properties=text(tags={"type": "array", "items": STRING, "uniqueItems": True}),
                            ),
                        },
                    )
                ),
                columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                originalUriBaseIds=text(ROOT=text(uri={"type": "string", "pattern": "^file:///.*/$"})),
                artifacts={"type": "array", "uniqueItems": True, "items": text(location=LOCATION)},
                results={
                    "type": "array",
                    "items": {
                        **text(
                            ruleId=STRING,
                            ruleIndex={"type": "integer", "minimum": 0},
                            level=LEVEL,
                            message=text(text=STRING),
                            locations={
                                "type": "array",
                                "items": text(
                                    physicalLocation=text(
                                        artifactLocation=LOCATION, region=text(startLine=NUMBER, startColumn=NUMBER)
                                    )
                                ),
                            },
                            partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}},
                            suppressions={
                                "type": "array",
                                "items": text(kind={"enum": ["inSource", "external"]}, justification=STRING),
                            },
                        ),
                        "required": ["ruleId", "message", "locations", "partialFingerprints"],
                    },
                },
            ),
        },
    }
)


@pytest.fixture
def log(tmp_path: Path):
    def make(policy=POLICY, name="policies/a policy.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(policy)
        files = Files((path,))
        made = sarif(examined(files, Known(codes=frozenset({"x.y"}))), files, tmp_path, "1.0")
        return json.loads(json.dumps(made))

    return make


def test_the_log_follows_the_specification(log):
    jsonschema.validate(log(), EXCERPT, format_checker=jsonschema.FormatChecker())


def test_the_log_follows_the_published_schema(log):
    published = sorted(SPECS.glob("**/sarif*2.1.0*.json"))
    if not published:
        pytest.skip("the published schema of SARIF is not among the specifications")
    jsonschema.Draft7Validator(json.loads(published[-1].read_text(encoding="utf-8"))).validate(log())


def test_every_rule_is_described_and_results_point_to_theirs(log):
    (run,) = log()["runs"]
    rules = run["tool"]["driver"]["rules"]

    assert [rule["id"] for rule in rules] == sorted(ISSUES)
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [r["ruleId"] for r in run["results"]]
    levels = {rule["id"]: rule["defaultConfiguration"]["level"] for rule in rules}
    assert (levels["P100"], levels["P201"], levels["P301"]) == ("error", "warning", "note")


def test_results_stand_at_their_places_and_ignored_ones_are_suppressed_with_their_reason(log):
    (run,) = log()["runs"]
    placed = [
        (result["ruleId"], result["locations"][0]["physicalLocation"]["region"], result.get("suppressions"))
        for result in run["results"]
    ]

    assert placed == [
        ("P201", {"startLine": 7, "startColumn": 9}, None),
        ("P101", {"startLine": 9, "startColumn": 40}, None),
        ("P101", {"startLine": 9, "startColumn": 79}, None),
        ("P123", {"startLine": 16, "startColumn": 17}, None),
        (
            "P201",
            {"startLine": 21, "startColumn": 9},
            [{"kind": "inSource", "justification": "the source may not be written down"}],
        ),
    ]
    assert run["artifacts"] == [{"location": {"uri": "policies/a%20policy.yaml", "uriBaseId": "ROOT"}}]


def test_fingerprints_survive_lines_above_and_tell_equal_results_apart(log):
    def prints(made):
        return [result["partialFingerprints"]["issue/v1"] for result in made["runs"][0]["results"]]

    before, after = prints(log()), prints(log(f"# A line more.\n{POLICY}"))

    assert before == after
    assert len(set(before)) == len(before)
    assert set(prints(log(name="policies/other.yaml"))).isdisjoint(before)


def test_a_file_elsewhere_is_named_in_full(tmp_path: Path, log):
    log()
    path = tmp_path / "policies" / "a policy.yaml"
    files = Files((path,))

    made = json.loads(json.dumps(sarif(examined(files, Known()), files, tmp_path / "elsewhere", "1.0")))

    assert made["runs"][0]["artifacts"] == [{"location": {"uri": path.resolve().as_uri()}}]
