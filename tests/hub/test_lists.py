"""Lists are built whole or not at all, and hide what they must."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paycordon.errors import ConfigError, Conflict
from paycordon.events import Identifier
from paycordon.hub import voprf
from paycordon.hub.buckets import Buckets, Built, Collector, entries_of
from paycordon.hub.home import Home, create
from paycordon.hub.source import LineInvalid, Shape, shape_of
from paycordon.hub.wire import bucket_of, private_input, record_of

from .conftest import NOON, write

PADDING = b"p" * 32


def nothing(_: int) -> None:
    """No progress is shown."""


def records(number: int, seed: int = 0) -> list[bytes]:
    return [record_of(voprf.hashlib.sha512(b"%d %d" % (seed, n)).digest()) for n in range(number)]


@settings(max_examples=30, deadline=None)
@given(number=st.integers(0, 3_000), minimum=st.integers(1, 400), seed=st.integers(0, 9))
def test_every_bucket_has_k_true_entries_and_one_size(tmp_path_factory, number: int, minimum: int, seed: int) -> None:
    directory, collector, listed = tmp_path_factory.mktemp("lists"), Collector(), records(number, seed)
    collector.add(b"".join(listed + listed[:7]))  # some come twice

    built = collector.write(directory, minimum, PADDING)

    assert built.entries == number
    counts = Counter(bucket_of(record, built.bits) for record in listed)
    assert built.smallest == min(counts[bucket] for bucket in range(2**built.bits))
    assert built.smallest >= minimum or built.bits == 0
    assert built.capacity >= minimum
    finer = Counter(bucket_of(record, built.bits + 1) for record in listed)
    assert min(finer[bucket] for bucket in range(2 ** (built.bits + 1))) < minimum
    buckets = Buckets(directory / f"{built.name}.buckets", built.bits, built.capacity)
    for record in listed:
        entries = buckets.bucket(bucket_of(record, built.bits))
        shown = [entries[at : at + 8] for at in range(0, len(entries), 8)]
        assert len(shown) == built.capacity
        assert shown == sorted(shown)
        assert record[4:] in shown
    with pytest.raises(IndexError):
        buckets.bucket(2**built.bits)


def written(
    directory: Path, listed: list[bytes], minimum: int, padding: bytes = PADDING
) -> tuple[Built, list[set[bytes]]]:
    collector = Collector()
    collector.add(b"".join(listed))
    built = collector.write(directory, minimum, padding)
    buckets = Buckets(directory / f"{built.name}.buckets", built.bits, built.capacity)
    return built, [entries_of(buckets.bucket(number)) for number in range(2**built.bits)]


def test_padding_is_like_entries_and_another_under_each_key(tmp_path: Path) -> None:
    names = set()
    for padding in (PADDING, b"q" * 32, PADDING):
        built, (entries,) = written(tmp_path, records(10), 100, padding)
        names.add(built.name)
        assert len(entries) == built.capacity == 128
        assert built.smallest == 10
    assert len(names) == 2  # the same list under the same key is the same file


def test_comparing_two_states_of_a_list_does_not_sieve_the_true_entries_out(tmp_path: Path) -> None:
    listed = records(3_000)
    _, before = written(tmp_path, listed, 200)
    built, after = written(tmp_path, listed[5:] + records(5, seed=1), 200)

    assert len(before) == len(after) == 2**built.bits > 1
    stayed = sum(len(old & new) for old, new in zip(before, after, strict=True))
    assert stayed >= built.capacity * len(after) - 10  # what fills the buckets stays as the true entries do
    assert stayed > len(listed)


def test_what_fills_buckets_mostly_stays_when_they_are_put_together(tmp_path: Path) -> None:
    listed = records(3_000)
    fine, before = written(tmp_path, listed, 100)
    coarse, after = written(tmp_path, listed, 190)
    assert fine.bits == coarse.bits + 1

    true = {record[4:] for record in listed}
    whole = set().union(*after) - true
    stayed = whole & set().union(*before)
    assert len(stayed) > 0.6 * len(whole)


def test_all_ways_to_write_a_list_are_one(home: Home, tmp_path: Path) -> None:
    csv, lines = tmp_path / "list.csv", tmp_path / "list.txt"
    csv.write_text('﻿source,kind,value\r\nIWF,email,"a@shop.example"\r\n\r\nIWF,email,b@shop.example\r\n', "utf-8")
    lines.write_text("a@shop.example\n\nB@shop.example")
    (epoch,) = home.epochs(NOON)
    expected = {record_of(voprf.evaluate(home.key_of(epoch), private_input(each))) for each in emails("a", "b")}
    for source, kind in ((write(tmp_path / "list.jsonl", ["a", "b", "a"]), None), (csv, None), (lines, "email")):
        (built,) = home.build(source, lambda: NOON, nothing, kind=kind)
        content = (home.lists / f"{built['list']}.buckets").read_bytes()
        assert built["entries"] == 2
        assert {each[4:] for each in expected} <= {content[at : at + 8] for at in range(0, len(content), 8)}


def emails(*names: str) -> list[Identifier]:
    return [Identifier(kind="email", value=f"{name}@shop.example") for name in names]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "no JSON"),
        ("[" * 5_000, "no JSON"),
        ('{"kind": "email"}', "plain `value`"),
        ('{"kind": "email", "digest": "k1:00"}', "plain `value`"),
        ('{"kind": "email", "value": null}', "`value`"),
        ('{"kind": "email", "value": ""}', "`value`"),
        ('{"kind": "E Mail", "value": "a"}', "`kind`"),
        ('{"kind": 7, "value": "a"}', "`"),
        ('{"kind": "email", "value": 7}', "`"),
        ("7", "plain `value`"),
        ('{"kind": "handle", "value": "4242 4242 4242 4242"}', "card number"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_without_repeating_it(line: str, problem: str) -> None:
    with pytest.raises(LineInvalid, match=problem) as refused:
        Shape().read(line)
    assert "4242" not in str(refused.value)


def test_a_file_of_another_form_is_refused() -> None:
    for first in ("name,value", "email", ""):
        with pytest.raises(LineInvalid, match="neither"):
            shape_of(first, None)
    for row in ('"a', "a", "a,b,c"):
        with pytest.raises(LineInvalid):
            Shape(columns=("kind", "value")).read(row)


def test_one_bad_line_refuses_the_file_and_leaves_the_list(home: Home, tmp_path: Path) -> None:
    (before,) = home.build(write(tmp_path / "good.jsonl", ["a"]), lambda: NOON, nothing)
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b'{"kind": "email", "value": "secret@shop.example"}\n\xff\n{"kind": "email"}\n' + b"x" * 20_000)

    with pytest.raises(ConfigError) as refused:
        home.build(bad, lambda: NOON, nothing)

    text = str(refused.value)
    assert f"{bad}:2:1: is not UTF-8" in text
    assert f"{bad}:3: has no `kind`" in text
    assert f"{bad}:4: is longer" in text
    assert "secret" not in text
    assert home.epochs(NOON) == [before]
    for empty in (b"", b"\n\n", b"kind,value\n"):
        bad.write_bytes(empty)
        with pytest.raises(ConfigError, match="no identifier"):
            home.build(bad, lambda: NOON, nothing)
    with pytest.raises(ConfigError, match="cannot be read"):
        home.build(tmp_path / "none", lambda: NOON, nothing)
    assert home.epochs(NOON) == [before]
    assert len(list(home.lists.glob("*.buckets"))) == 1


def test_a_list_does_not_shrink_by_accident(home: Home, tmp_path: Path) -> None:
    long, short = write(tmp_path / "l", ["a", "b", "c"]), write(tmp_path / "s", ["a"])
    (before,) = home.build(long, lambda: NOON, nothing)
    with pytest.raises(ConfigError, match="shrink from 3 entries to 1"):
        home.build(short, lambda: NOON, nothing)
    assert home.epochs(NOON) == [before]
    assert [path.stem for path in home.lists.glob("*.buckets")] == [before["list"]]

    (after,) = home.build(short, lambda: NOON, nothing, shrink=True)
    assert after["entries"] == 1


def test_two_builds_do_not_mix(home: Home, tmp_path: Path) -> None:
    source, other = write(tmp_path / "l", ["a"]), Home(tmp_path / "hub")
    try:
        with home._building(), pytest.raises(Conflict, match="another build"):
            other.build(source, lambda: NOON, nothing)
        assert other.build(source, lambda: NOON, nothing)[0]["entries"] == 1
    finally:
        other.close()


def test_a_build_that_is_killed_leaves_the_list_that_was(home: Home, tmp_path: Path) -> None:
    (before,) = home.build(write(tmp_path / "good.jsonl", ["a"]), lambda: NOON, nothing)
    (home.lists / "building.tmp").write_bytes(b"left by another")
    source = tmp_path / "endless"
    os.mkfifo(source)
    command = [sys.executable, "-m", "paycordon", "hub", "build", str(source), "-d", str(tmp_path / "hub")]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    lines = source.open("w")  # as soon as somebody reads it
    try:
        lines.writelines(f'{{"kind": "email", "value": "n{n}@shop.example"}}\n' for n in range(10_000))
        lines.flush()  # more than a pipe holds, so that most of it was read, and there is no end to it
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    finally:
        with suppress(BrokenPipeError):
            lines.close()

    assert home.epochs(NOON) == [before]
    assert home.intact(before)
    home.build(write(tmp_path / "good.jsonl", ["a", "b"]), lambda: NOON, nothing)
    assert len([path for path in home.lists.iterdir() if path.name != ".lock"]) == 1


def test_many_lines_are_shared_between_processes(home: Home, tmp_path: Path) -> None:
    source, done = write(tmp_path / "long.jsonl", [f"n{n}" for n in range(4_500)]), list[int]()

    (built,) = home.build(source, lambda: NOON, done.append)

    assert built["entries"] == 4_500
    assert done == sorted(done)
    assert done[-1] == source.stat().st_size
    with source.open("a") as file:
        file.write("{\n")
    with pytest.raises(ConfigError, match=r":4501:1: is no JSON"):
        home.build(source, lambda: NOON, nothing)


def test_a_hub_is_made_only_where_there_is_nothing(home: Home, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not empty"):
        create(tmp_path / "hub", NOON)
    with pytest.raises(ConfigError, match="no hub in"):
        Home(tmp_path)
    assert (tmp_path / "hub" / "keys" / "epoch-1.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "hub" / "keys").stat().st_mode & 0o077 == 0
    (tmp_path / "hub" / "hub.yaml").write_text("overlap: 5 business days\nburst: 1\n")
    with pytest.raises(ConfigError) as wrong:
        Home(tmp_path / "hub")
    assert json.dumps(str(wrong.value)).count("hub.yaml") == 2
