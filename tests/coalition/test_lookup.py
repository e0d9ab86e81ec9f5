"""The file says of every digest whether it may be known; anything that is not whole is refused."""

from __future__ import annotations

import random
import stat
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paycordon.coalition.lookup import LookupFile, LookupInvalid, Mark, key_of, sorted_keys, write

MARK = Mark(7, bytes(range(32)))
keys = st.integers(0, 2**64 - 1)


def made(path: Path, known: list[int]) -> LookupFile:
    write(path, [sorted_keys(known).tobytes()], MARK)
    return LookupFile.open(path)


@given(known=st.lists(keys, max_size=200), asked=st.lists(keys, max_size=20))
@settings(max_examples=50)
def test_it_agrees_with_a_set(tmp_path_factory: pytest.TempPathFactory, known: list[int], asked: list[int]) -> None:
    file = made(tmp_path_factory.mktemp("lookup") / "f", known)
    assert len(file) == len(set(known))
    near = [(key + step) % 2**64 for key in known for step in (-1, 0, 1)]
    assert all((key in file) == (key in set(known)) for key in [*asked, *near, 0, 2**64 - 1])
    assert file.mark == MARK


def test_many_keys_and_those_close_together(tmp_path: Path) -> None:
    rng = random.Random(1)
    known = [rng.getrandbits(64) for _ in range(50_000)] + [2**63 + n for n in range(5_000)]
    file = made(tmp_path / "f", known)
    assert all(key in file for key in known)
    assert not any(rng.getrandbits(64) in file for _ in range(10_000))


@given(known=st.lists(keys, max_size=60), added=st.lists(keys, max_size=60))
@settings(max_examples=50)
def test_what_is_added_is_put_among_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, known: list[int], added: list[int]
) -> None:
    path = tmp_path_factory.mktemp("lookup") / "f"
    merged = array("Q")
    for part in made(path, known).merged(sorted(set(added))):
        merged.frombytes(part)
    assert list(merged) == sorted({*known, *added})


def test_a_file_in_use_goes_on_when_another_takes_its_place(tmp_path: Path) -> None:
    old = made(tmp_path / "f", [1, 2, 3])
    new = made(tmp_path / "f", [4])
    assert (1 in old, 4 in old, 1 in new, 4 in new) == (True, False, False, True)
    assert [each.name for each in tmp_path.iterdir()] == ["f"]
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o400


def test_every_cut_and_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    made(tmp_path / "f", [n << 40 for n in range(30)])
    whole = (tmp_path / "f").read_bytes()
    broken = tmp_path / "g"
    for size in range(0, len(whole), 7):
        broken.write_bytes(whole[:size])
        with pytest.raises(LookupInvalid):
            LookupFile.open(broken)
    for at in [*range(96), *range(128, len(whole))]:
        broken.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(LookupInvalid):
            LookupFile.open(broken)
    for content in (b"", whole + b"x", b"x" * len(whole)):
        broken.write_bytes(content)
        with pytest.raises(LookupInvalid):
            LookupFile.open(broken)


def test_a_file_that_is_not_there_is_no_lookup(tmp_path: Path) -> None:
    with pytest.raises(LookupInvalid):
        LookupFile.open(tmp_path / "none")


def test_what_fails_half_way_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "f", [1])
    monkeypatch.setattr("paycordon.coalition.lookup.os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write(tmp_path / "f", [sorted_keys([2]).tobytes()], MARK)
    assert 1 in LookupFile.open(tmp_path / "f")
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_a_digest_has_one_key() -> None:
    assert key_of("k1:" + "0" * 48 + "00000000000000ff") == 255
    assert key_of("k1:short") == key_of("k1:short") != key_of("k1:shorf")
    assert all(
        0 <= key_of(odd) < 2**64 for odd in ("-1", "", "k1:", "+f", "x" * 99, "0" * 15 + "-", " -000000000000001")
    )
