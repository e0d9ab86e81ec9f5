"""The adapter author's page shows the tutorial's code as it is."""

import re
from pathlib import Path

import pytest

from paycordon.gateways import Gateway, Grade, Support
from paycordon.testing import Fault, GatewayHarness

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
EXCERPTS = re.findall(r"<!-- not run: excerpt of (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("file", "code"), EXCERPTS, ids=[file for file, _ in EXCERPTS])
def test_an_excerpt_is_in_its_file(file, code):
    assert code in (ROOT / file).read_text(encoding="utf-8")


def test_all_that_is_not_run_is_an_excerpt():
    assert PAGE.count("<!-- not run") == len(EXCERPTS) > 0


@pytest.mark.parametrize("name", sorted(Gateway.__abstractmethods__))
def test_each_method_of_the_contract_has_its_row(name):
    assert f"| `{name}(" in PAGE


@pytest.mark.parametrize("name", [*Support.__dataclass_fields__, *Grade])
def test_each_field_and_grade_of_a_capability_is_explained(name):
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    "name", sorted(GatewayHarness.__abstractmethods__ | {*GatewayHarness.__annotations__} - {"now"})
)
def test_each_part_of_the_harness_is_named(name):
    assert re.search(rf"`{name}[`(]", PAGE)


def test_the_number_of_faults_is_right():
    assert len(Fault) == 6
    assert "in six ways" in PAGE


def test_the_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert "://" in target or (ROOT / "plugins" / target).exists(), target
