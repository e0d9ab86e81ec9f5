"""Reading YAML with positions."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from paycordon.documents import MAX_BYTES, document_from, read_document, validate
from paycordon.errors import ConfigError, PolicyError, Position


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    colour: str
    size: int = 0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: list[Inner] = []
    by_name: dict[str, Inner] = {}


def read(text: str):
    return document_from(text.encode(), "f.yaml")


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b"", "1:1", "empty"),
        (b"# only a comment\n", "1:1", "empty"),
        (b"- a\n- b\n", "1:1", "mapping"),
        (b"just text", "1:1", "mapping"),
        (b"a: 1\nb: 2\na: 3\n", "3:1", "`a` is given twice (first on line 1)"),
        (b"a: &x 1\nb: 2\n", "1:4", "anchors and aliases"),
        (b"a: 1\nb: *x\n", "2:4", "anchors and aliases"),
        (b"a: !!str 1\n", "1:4", "tags"),
        (b"a: !thing {}\n", "1:4", "tags"),
        (b"%YAML 1.1\n---\na: 1\n", "2:1", "directives"),
        (b"<<: {a: 1}\n", "1:1", "merge keys"),
        (b"a: 1\n---\nb: 2\n", "2:1", "more than one document"),
        (b"? [a, b]\n: 1\n", "1:3", "key is not plain text"),
        (b"a: [1\nb: 2\n", "2:2", "not valid YAML"),
        (b"a:\n\t- b\n", "2:1", "not valid YAML"),
        (b"a: 1\nb: \x01\n", "2:4", "character that YAML does not allow"),
        (b"a: 1\nb: caf\xe9\n", "2:7", "not UTF-8"),
        (b"a: " + b"9" * 5000 + b"\n", "1:4", "number cannot be read"),
        (b"a: .inf\n", "1:4", "number cannot be read"),
        (b"a: " + b"[" * 40 + b"]" * 40, "1:35", "nested deeper than 32"),
    ],
)
def test_what_is_outside_the_subset_is_refused_at_its_place(content, place, words):
    with pytest.raises(PolicyError) as caught:
        document_from(content, "f.yaml", error=PolicyError)
    assert str(caught.value).startswith(f"f.yaml:{place}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("bomb", ["[" * 100_000, "- " * 100_000, "{a: " * 50_000, "? " * 50_000])
def test_deep_nesting_is_refused_within_a_second(bomb):
    started = time.process_time()
    with pytest.raises(ConfigError):
        read(bomb)
    assert time.process_time() - started < 1


def test_a_file_that_is_missing_too_big_or_a_directory_is_refused(tmp_path: Path):
    big = tmp_path / "big.yaml"
    big.write_bytes(b"a: " + b"x" * MAX_BYTES)
    for path, words in ((tmp_path / "no.yaml", "no such file"), (tmp_path, "directory"), (big, "larger than 1 MiB")):
        with pytest.raises(ConfigError, match=words) as caught:
            read_document(path)
        assert caught.value.position == Position(path)


def test_scalars_are_those_of_yaml_1_2():
    text = "a: NO\nb: 12:30\nc: 2026-01-01\nd: 012\ne: 0x1F\nf: 1.5\ng: true\nh: ~\ni: '1'\nj: 1_000\nk: yes\n"
    expected = ["NO", "12:30", "2026-01-01", 12, 31, 1.5, True, None, "1", 1000, "yes"]
    data = read(text).data
    assert isinstance(data, dict)
    assert list(data.values()) == expected


def test_every_key_and_value_has_its_position():
    document = read("a:\n  - x: 1\n    yy: [p, q]\n")
    assert str(document.position(("a", 0, "yy", 1))) == "f.yaml:3:13"
    assert str(document.position(("a", 0, "yy"), key=True)) == "f.yaml:3:5"
    assert str(document.position(("a", 0, "absent"))) == "f.yaml:2:5"
    assert str(document.part("a", 0).position(("x",))) == "f.yaml:2:8"


@pytest.mark.parametrize(
    "written",
    [
        "w: one TWO three",
        "w: 'one TWO three'",
        'w: "one TWO three"',
        "w: 'it''s TWO'",
        r'w: "a \"q\" TWO"',
        "w: |\n    one\n      TWO\n",
        "w: >-\n    one\n    TWO\n",
        "w: one\n   TWO\n",
        "w: 'one\n\n   TWO'\n",
        "[{w: TWO}]",
    ],
)
def test_a_place_in_a_text_is_found_in_the_file(written):
    text = f"k: {written}" if written.startswith("[") else written
    loc = ("k", 0, "w") if written.startswith("[") else ("w",)
    document = read(text)
    value = document.data
    for step in loc:
        value = value[step]
    at = value.index("TWO")
    line, column = value.count("\n", 0, at) + 1, at - value.rfind("\n", 0, at)
    found = document.position_in(loc, line, column)
    assert text.split("\n")[found.line - 1][found.column - 1 :].startswith("TWO")


def test_all_problems_are_reported_the_first_one_leads():
    text = "by_name:\n  a: {color: red}\nitems:\n  - {colour: [], size: big}\nitms: 1\n"
    with pytest.raises(ConfigError) as caught:
        validate(Outer, read(text))
    lines = str(caught.value).split("\n")
    assert lines[0] == "f.yaml:2:6: `colour` is missing"
    assert lines[1] == "f.yaml:2:7: unknown key `color` (did you mean `colour`?)"
    assert lines[2].startswith("f.yaml:4:14: `items.0.colour`: should be a valid string")
    assert lines[3].startswith("f.yaml:4:24: `items.0.size`: should be a valid integer")
    assert lines[4] == "f.yaml:5:1: unknown key `itms` (did you mean `items`?)"


def test_messages_never_repeat_a_value():
    with pytest.raises(ConfigError) as caught:
        validate(Outer, read("items: sk_live_secret\nby_name: {a: {colour: x, size: sk_live_secret}}\n"))
    assert "sk_live" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_position(content):
    try:
        data = document_from(content, "f.yaml").data
    except ConfigError as refused:
        data = {} if refused.position else None
    assert isinstance(data, dict)
