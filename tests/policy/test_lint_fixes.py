"""`--fix` leaves out what changes no judgement, and touches nothing else of a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from paycordon.errors import PolicyError
from paycordon.policy.lint import FIXABLE, Files, Known, examined
from paycordon.policy.lint.fixes import repair, write

KNOWN = Known(codes=frozenset({"x.y"}))
MESSY = """\
# A policy, written by hand.
policy:   p
version: 1   # raise me
description: 'A test.'

on_error: hold


params:
  # how much is much
  many: 5              # per day
  spare: 14d           # left over
  few: 2
aggregates: {used: {count: payout.requested, window: 1d}, spare: {count: dispute.opened, window: 1d}}
lists:
  gone:
    items: [a, b]
  kept:
    items:
      - a
      - value: b     # first
        reason: |
          several
          lines

      # the one that counts
      - {value: b, until: "2030-01-01"}
variables:
  alone: aggregates.used > params.few
typologies:
  nobody:
    thresholds: {review: 3}
    internal_reason: Why.
rules:
  # lint: ignore P301, P305 because that was so for a long time
  - id:  payout-known
    on: [payout.requested]
    when: >-
      aggregates.used > params.many
      && event.mode == "live" && aggregates.used > params.many
      && has(event.payout.method) && listed(event.payout.method, lists.kept)
    then: review   # lint: ignore P201 because that was so for a long time
    internal_reason: Why.
"""
CLEAN = """\
# A policy, written by hand.
policy:   p
version: 1   # raise me
description: 'A test.'

on_error: hold


params:
  # how much is much
  many: 5              # per day
aggregates: {used: {count: payout.requested, window: 1d}}
lists:
  kept:
    items:
      - a

      # the one that counts
      - {value: b, until: "2030-01-01"}
rules:
  - id:  payout-known
    on: [payout.requested]
    when: >-
      aggregates.used > params.many
      && event.mode == "live"
      && has(event.payout.method) && listed(event.payout.method, lists.kept)
    then: review
    internal_reason: Why.
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(MESSY)
    return path


def fixed(path: Path, bindings: Path | None = None) -> str:
    changes, report = repair(Files((path,), bindings), KNOWN)
    for change in changes:
        write(change)
    assert report == examined(Files((path,), bindings), KNOWN)
    return path.read_text()


def test_everything_that_can_be_left_out_is_and_the_rest_stays_to_the_letter(policy: Path):
    assert fixed(policy) == CLEAN
    assert examined(Files((policy,)), KNOWN).issues == []


def test_a_second_time_there_is_nothing_to_do(policy: Path):
    fixed(policy)

    assert repair(Files((policy,)), KNOWN)[0] == []


def test_nothing_is_written_before_it_is_asked_for(policy: Path):
    changes, _ = repair(Files((policy,)), KNOWN)

    assert policy.read_text() == MESSY
    assert (changes[0].before, changes[0].after) == (MESSY.encode(), CLEAN.encode())
    assert {issue.id for issue in changes[0].issues} == {"P102", "P103", "P105", "P106", "P107", "P113", "P119", "P123"}


def test_line_ends_and_byte_order_mark_stay(policy: Path):
    policy.write_bytes(b"\xef\xbb\xbf" + MESSY.replace("\n", "\r\n").encode())

    changes, _ = repair(Files((policy,)), KNOWN)

    assert changes[0].after == b"\xef\xbb\xbf" + CLEAN.replace("\n", "\r\n").encode()


def test_mixed_line_ends_are_left_alone(policy: Path):
    policy.write_bytes(MESSY.replace("\n", "\r\n", 3).encode())

    assert repair(Files((policy,)), KNOWN)[0] == []


def test_what_a_binding_still_names_is_not_left_out_but_the_rest_is(policy: Path):
    bindings = policy.with_name("bindings.yaml")
    bindings.write_text("bindings:\n  - {id: a, policy: p, mode: shadow, params: {spare: 3d}}\n")

    text = fixed(policy, bindings)

    assert "  spare: 14d           # left over\n" in text
    assert "gone" not in text


def test_bindings_are_repaired_too(policy: Path):
    bindings = policy.with_name("bindings.yaml")
    bindings.write_text(
        "segments:\n  unused: has(event.merchant.mcc)   # a comment\n  used: has(event.merchant.id)\n"
        "bindings:\n  - id: a\n    policy: p\n    mode: shadow\n    segments: [used]\n    params: {many: 5}\n"
    )
    policy.write_text(CLEAN)

    fixed(policy, bindings)

    assert bindings.read_text() == (
        "segments:\n  used: has(event.merchant.id)\n"
        "bindings:\n  - id: a\n    policy: p\n    mode: shadow\n    segments: [used]\n"
    )


@pytest.mark.parametrize(
    "when",
    [
        '(event.mode == "live" && findings.size() > 1) && event.mode == "live"',
        "\"event.mode == 'live' && findings.size() > 1\\n// twice\\n&& event.mode == 'live'\"",
    ],
    ids=["brackets", "a comment between"],
)
def test_a_repetition_that_cannot_be_cut_out_safely_is_left_to_people(policy: Path, when):
    head = CLEAN.split("params:")[0]
    text = (
        f"{head}rules:\n  - id: payout-known\n    on: [payout.requested]\n    when: {when}\n"
        "    then: review\n    internal_reason: Why.\n"
    )
    policy.write_text(text)

    assert [issue.id for issue in examined(Files((policy,)), KNOWN).issues] == ["P113"]
    assert fixed(policy) == text


def test_a_file_that_cannot_be_loaded_is_not_touched(policy: Path):
    broken = MESSY.replace("review: 3", "review: many")
    policy.write_text(broken)

    assert fixed(policy) == broken


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(policy: Path):
    (change,), _ = repair(Files((policy,)), KNOWN)
    policy.write_text(MESSY + "# somebody was faster\n")

    with pytest.raises(PolicyError, match="changed meanwhile"):
        write(change)

    assert policy.read_text().endswith("# somebody was faster\n")


def test_mode_and_links_stay_and_nothing_is_left_behind_when_writing_fails(policy: Path, tmp_path: Path, monkeypatch):
    policy.chmod(0o640)
    link = tmp_path / "links" / "linked.yaml"
    link.parent.mkdir()
    link.symlink_to(policy)
    (change,), _ = repair(Files((link,)), KNOWN)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(PolicyError, match="no space left"):
            write(change)
    assert policy.read_text() == MESSY
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links", "p.yaml"]

    write(change)

    assert link.is_symlink()
    assert policy.read_text() == CLEAN
    assert stat.S_IMODE(policy.stat().st_mode) == 0o640


def test_every_repair_is_tried_here():
    elsewhere = {"P117", "P120"}  # in bindings

    assert {"P102", "P103", "P105", "P106", "P107", "P113", "P119", "P123"} | elsewhere == FIXABLE
