"""The packs that are shipped: what is asked of each rule in them, and that installing one holds nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from paycordon import checks
from paycordon.cli.test_runs import run_files
from paycordon.decisions import Outcome
from paycordon.documents import document_from
from paycordon.errors import ConfigError, PolicyError
from paycordon.events import Stage
from paycordon.policy import PolicySet, load_set
from paycordon.policy.changes import changes
from paycordon.policy.document import Status, Weight
from paycordon.policy.lint import Files, Known, examined
from paycordon.policy.load import PolicyFiles, policy_from
from paycordon.policy.packs import install, pack, pack_content, pack_names
from paycordon.schemas import shipped

DIRECTORY = Path(str(files("paycordon.policy.packs")))
NAMES = (
    "austrac-ocse",
    "card-networks",
    "fatf-ocse",
    "fincen-ocse",
    "fincen-sextortion",
    "fincen-trafficking",
    "merchant-acquisition",
)
CODES = frozenset(code for check in checks.register_checks() for code in check.emits)
WRITTEN = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("packs")
    for name in NAMES:
        install(name, directory)
    lines = [f"  - {{id: {name}, policy: {name}, mode: shadow}}" for name in NAMES]
    (directory / "bindings.yaml").write_text("\n".join(["bindings:", *lines, ""]), encoding="utf-8")
    return directory


def test_these_are_the_packs() -> None:
    assert pack_names() == NAMES
    assert all(pack(name).ref.name == name for name in NAMES)


def test_lint_has_nothing_against_packs_in_shadow(installed: Path) -> None:
    policies = tuple(installed / f"{name}.yaml" for name in NAMES)

    report = examined(Files(policies, installed / "bindings.yaml"), Known(CODES, frozenset(), WRITTEN))

    assert (report.issues, report.ignored) == ([], [])


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_a_pack_pass_and_see_each_rule_and_each_condition_true_and_false(
    installed: Path, name: str
) -> None:
    (found,) = run_files([installed / f"{name}.test.yaml"], "", long=10_000)

    assert [(each.case.name, each.differences) for each in found.failed] == []
    # `where` asks whether an aggregate is there, which a number of events always is.
    gaps = [(gap.rule, gap.text) for gap in found.coverage.gaps]
    assert [gap for gap in gaps if not gap[1].startswith("has(aggregates.")] == []


@pytest.mark.parametrize("name", NAMES)
def test_soft_signs_only_ever_add_points_and_nothing_blocks(name: str) -> None:
    policy = pack(name)

    assert {rule.then for rule in policy.rules if rule.weight is Weight.SOFT} <= {None}
    assert all(rule.then is not Outcome.BLOCK for rule in policy.rules)
    reached = [outcome for each in policy.typologies.values() for _, outcome in each.thresholds]
    assert Outcome.BLOCK not in reached
    for typology in policy.typologies.values():
        least = min(points for points, _ in typology.thresholds)
        signs = sorted((rule.adds[typology.name] for rule in policy.rules if typology.name in rule.adds), reverse=True)
        assert sum(signs[:1]) < least
        assert sum(signs) >= least


@pytest.mark.parametrize("name", NAMES)
def test_what_says_that_it_is_unverified_is_and_the_other_way_round(name: str) -> None:
    for rule in pack(name).rules:
        says = any(reference.startswith("unverified:") for reference in rule.references)
        assert says is (rule.status is Status.UNVERIFIED), rule.id


@pytest.mark.parametrize("name", NAMES)
def test_an_editor_takes_packs_and_their_tests(name: str) -> None:
    for file, schema in ((f"{name}.yaml", "policy.v1.json"), (f"{name}.test.yaml", "test.v1.json")):
        data = document_from((DIRECTORY / file).read_bytes(), file).data
        assert list(Draft202012Validator(shipped(schema)).iter_errors(data)) == []


def test_a_change_of_status_shows_when_a_change_is_approved() -> None:
    text = pack_content("fatf-ocse")
    old, new = (policy_from(each, "p.yaml") for each in (text, text.replace(b"status: unverified", b"status: test")))

    found = [str(change) for change in changes(PolicySet([old]), PolicySet([new]))]

    assert found == ["fatf-ocse/gone-at-once: `status` is test instead of unverified"]


def test_no_rule_about_victims_stops_anything() -> None:
    policy = pack("fincen-sextortion")
    of_payers = [rule for rule in policy.rules if any(type_.startswith(f"{Stage.DISPUTE}.") for type_ in rule.on)]

    assert {name for rule in of_payers for name in rule.adds} == {"payer-may-be-a-victim"}
    assert policy.typologies["payer-may-be-a-victim"].thresholds == ((3, Outcome.REVIEW),)
    assert policy.typologies["payer-may-be-a-victim"].internal_reason.startswith("VICTIM CARE")


def test_a_pack_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    made = install("card-networks", tmp_path)
    made[1].write_text("mine", encoding="utf-8")

    with pytest.raises(PolicyError, match="exists already"):
        install("card-networks", tmp_path)

    assert [path.name for path in made] == ["card-networks.test.yaml", "card-networks.yaml"]
    assert made[1].read_text(encoding="utf-8") == "mine"


def test_a_pack_that_cannot_be_written_as_a_whole_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be written"):
        install("card-networks", tmp_path / "not there")
    with pytest.raises(ConfigError, match="there is no pack `card-network`") as refused:
        install("card-network", tmp_path)
    assert refused.value.hint == "did you mean `card-networks`?"
    assert list(tmp_path.iterdir()) == []


def test_packs_together_are_one_policy_set(installed: Path) -> None:
    policies = load_set(PolicyFiles(tuple(installed / f"{name}.yaml" for name in NAMES), installed / "bindings.yaml"))

    assert len(policies.rules) == sum(len(pack(name).rules) for name in NAMES)
