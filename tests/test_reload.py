"""Policies that change while they judge: all at once, in every process, or not at all and loudly."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paycordon.config import load_config
from paycordon.errors import ConfigError, PolicyError, StoreUnavailable
from paycordon.events import Event
from paycordon.keys import public_key_of
from paycordon.metrics import Metrics
from paycordon.policy import PolicySet, load_set
from paycordon.policy.approval import Unapproved
from paycordon.policy.signing import Role, sign
from paycordon.record.verify import verify
from paycordon.reload import MARKER, Reloader
from paycordon.screening import Cordon
from paycordon.store import Store
from paycordon.store import policies as kept
from paycordon.store.lists import add, remove
from paycordon.testing import NOON, FrozenClock, make_event

KEYS = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob")}
DEADLINE = 5.0  # what is promised


def rule(then: str = "hold", name: str = "p") -> str:
    return (
        f"policy: {name}\nversion: 1\non_error: review\nchild_protection: true\n"
        "lists: {watched: {store: watched}, filed: {file: filed.csv}}\nrules:\n"
        '  - id: r\n    on: [payout.requested]\n    when: "true"\n'
        f"    then: {then}\n    merchant_reason: more_needed\n"
        "  - id: listed\n    on: [payout.requested]\n"
        "    when: listed(event.account.id, lists.watched) || listed(event.account.id, lists.filed)\n"
        "    then: block\n    merchant_reason: more_needed\n"
    )


class Place:
    """A deployment in a directory."""

    def __init__(self, root: Path, store_url: str, *, required: bool) -> None:
        self.root, self.policies = root, root / "policies"
        self.policies.mkdir()
        (self.policies / "filed.csv").write_text("value\nacct_filed\n")
        for name, key in KEYS.items():
            (root / f"{name}.pub.pem").write_text(public_key_of(key))
        (root / "paycordon.yaml").write_text(
            f"store: {store_url}\npolicies: [policies]\nidentifier_keys: {{current: k, keys: {{k: env:K}}}}\n"
            f"approvals: {{required: {str(required).lower()}, signers: "
            "{alice: file:alice.pub.pem, bob: file:bob.pub.pem}}\n"
            "screening: {budget_ms: 20000, check_deadline_ms: 5000}\n"
        )
        self.write(rule())
        self.load()

    def load(self) -> None:
        self.config = load_config(self.root / "paycordon.yaml", {"K": "k" * 32})

    def write(self, text: str, name: str = "p.yaml") -> None:
        (self.policies / name).write_text(text)

    def sign(self, digest: str, name: str, role: Role) -> None:
        signature = sign(KEYS[name], digest, role, name, NOON)
        file = self.policies / signature.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(signature.text)

    def digest(self) -> str:
        return load_set(self.config.policy_files()).digest

    def approve(self) -> str:
        self.sign(self.digest(), "alice", Role.AUTHOR)
        self.sign(self.digest(), "bob", Role.APPROVER)
        return self.digest()


@pytest.fixture
def place(tmp_path: Path, sqlite_url: str) -> Place:
    """A deployment that takes every change."""
    return Place(tmp_path, sqlite_url, required=False)


@pytest.fixture
def strict(tmp_path: Path, sqlite_url: str) -> Place:
    """A deployment that demands signatures, and has them for what it begins with."""
    made = Place(tmp_path, sqlite_url, required=True)
    made.approve()
    return made


Watch = Callable[[Place], "Watched"]


class Watched:
    """A reloader whose looks the test decides on."""

    def __init__(self, place: Place, store: Store, clock: FrozenClock) -> None:
        self.metrics, self.adopted = Metrics(), list[PolicySet]()
        self.reloader = Reloader(place.config, store, self.metrics, clock)
        self.adopted.append(self.reloader.begin())
        self.reloader._adopt = self.adopted.append  # as `start` does, without its thread

    def look_twice(self) -> bool:
        first = self.reloader.look()
        return self.reloader.look() or first

    @property
    def in_force(self) -> PolicySet:
        return self.adopted[-1]

    @property
    def failed(self) -> float | None:
        return self.metrics.registry.get_sample_value("paycordon_policy_reload_failed")

    def says(self, digest: str) -> float | None:
        return self.metrics.registry.get_sample_value("paycordon_policy_info", {"digest": digest})


@pytest.fixture
def watch(sqlite_store: Store, clock: FrozenClock) -> Watch:
    return lambda place: Watched(place, sqlite_store, clock)


def logged(store: Store) -> list[kept.Taken]:
    with store.read() as connection:
        return kept.history(connection)


def test_the_first_set_is_recorded_before_it_judges(place: Place, watch: Watch, sqlite_store: Store) -> None:
    watched = watch(place)
    (taken,) = logged(sqlite_store)
    assert (taken.digest, taken.previous) == (watched.in_force.digest, None)
    assert watched.says(taken.digest) == 1
    assert verify(sqlite_store).ok


def test_a_change_is_taken_at_the_second_look_that_sees_it(place: Place, watch: Watch, sqlite_store: Store) -> None:
    watched = watch(place)
    before = watched.in_force
    place.write(rule("review"))
    assert not watched.reloader.look()
    assert watched.reloader.look()
    assert watched.in_force.digest != before.digest
    assert [each.previous for each in logged(sqlite_store)] == [None, before.digest]
    assert "p/r: the outcome is lowered from hold to review" in logged(sqlite_store)[1].changes
    assert (watched.says(before.digest), watched.says(watched.in_force.digest)) == (None, 1)
    assert not watched.look_twice()


def test_a_directory_that_is_still_being_written_is_left_alone(place: Place, watch: Watch) -> None:
    watched = watch(place)
    for number in range(4):
        place.write(rule("review") + f"# {number}\n")
        assert not watched.reloader.look()
    assert watched.reloader.look()


@pytest.mark.parametrize("change", ["added", "removed", "bindings", "unbound", "list", "same size"])
def test_every_kind_of_change_is_noticed(place: Place, watch: Watch, change: str) -> None:
    place.write(rule(name="q"), "q.yaml")
    if change == "unbound":
        place.write("bindings:\n  - {id: b, policy: p, mode: shadow}\n", "bindings.yaml")
        place.load()
    watched = watch(place)
    before = watched.in_force.digest
    if change == "unbound":
        (place.policies / "bindings.yaml").unlink()
    elif change == "added":
        place.write(rule(name="another"), "r.yaml")
    elif change == "removed":
        (place.policies / "q.yaml").unlink()
    elif change == "bindings":
        place.write("bindings:\n  - {id: b, policy: p, mode: shadow}\n", "bindings.yaml")
    elif change == "list":
        (place.policies / "filed.csv").write_text("value\nacct_other\n")
    else:
        state = (place.policies / "q.yaml").stat()
        place.write(rule(name="z"), "q.yaml")
        os.utime(place.policies / "q.yaml", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert watched.look_twice()
    assert watched.in_force.digest != before


BROKEN = {
    "not YAML": "policy: [",
    "half a file": rule()[:150],
    "a typo": rule().replace("event.account.id", "event.acount.id"),
    "empty": "",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_broken_leaves_the_old_in_force_and_is_loud(
    place: Place, watch: Watch, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(place)
    before = watched.in_force
    place.write(text)
    assert not watched.look_twice()
    assert watched.in_force is before
    assert watched.failed == 1
    assert watched.says(before.digest) == 1
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "p.yaml:" in record.getMessage()
    assert "acount" not in record.getMessage()
    assert not watched.look_twice(), "it is not tried again before the files change"
    assert len([record for record in caplog.records if record.levelno == logging.CRITICAL]) == 1


def test_what_was_broken_is_tried_again_when_it_changes(place: Place, watch: Watch) -> None:
    watched = watch(place)
    place.write("policy: [")
    watched.look_twice()
    place.write(rule("review"))
    assert watched.look_twice()
    assert watched.failed == 0


def test_what_was_broken_and_is_put_back_is_in_order_again(place: Place, watch: Watch) -> None:
    watched = watch(place)
    place.write("policy: [")
    watched.look_twice()
    place.write(rule())
    assert not watched.look_twice()
    assert watched.failed == 0


def test_a_missing_list_file_is_tried_again_when_it_appears(place: Place, watch: Watch) -> None:
    watched = watch(place)
    place.write(rule().replace("filed.csv", "later.csv"))
    assert not watched.look_twice()
    assert watched.failed == 1
    (place.policies / "later.csv").write_text("value\nacct_later\n")
    assert watched.look_twice()


def test_a_directory_that_is_gone_leaves_the_old_in_force(place: Place, watch: Watch) -> None:
    watched = watch(place)
    shutil.move(place.policies, place.root / "away")
    assert not watched.look_twice()
    assert watched.failed == 1
    shutil.move(place.root / "away", place.policies)
    assert not watched.look_twice()
    assert watched.failed == 0


def test_files_that_are_being_replaced_are_not_read(place: Place, watch: Watch) -> None:
    watched = watch(place)
    (place.policies / MARKER).write_text("")
    place.write(rule("review"))
    assert not watched.look_twice()
    (place.policies / MARKER).unlink()
    assert watched.look_twice()


def test_a_change_without_signatures_is_refused_and_taken_once_they_come(
    strict: Place, watch: Watch, caplog: pytest.LogCaptureFixture, sqlite_store: Store
) -> None:
    watched = watch(strict)
    before = watched.in_force
    assert logged(sqlite_store)[0].signers == ("alice (author)", "bob (approver)")
    strict.write(rule("review"))
    assert not watched.look_twice()
    assert watched.in_force is before
    assert watched.failed == 1
    assert "a second person's signature for p/r: the outcome is lowered" in caplog.text
    strict.sign(strict.digest(), "alice", Role.AUTHOR)
    assert not watched.look_twice()
    strict.sign(strict.digest(), "bob", Role.APPROVER)
    assert watched.look_twice()
    assert watched.failed == 0
    assert logged(sqlite_store)[1].signers == ("alice (author)", "bob (approver)")


def test_a_change_that_loosens_nothing_takes_one_signature(strict: Place, watch: Watch) -> None:
    watched = watch(strict)
    strict.write(rule("block"))
    strict.sign(strict.digest(), "alice", Role.AUTHOR)
    assert watched.look_twice()


def test_going_back_counts_the_signatures_of_then(strict: Place, watch: Watch, sqlite_store: Store) -> None:
    watched = watch(strict)
    first = watched.in_force.digest
    strict.write(rule("block"))
    strict.sign(strict.digest(), "bob", Role.AUTHOR)
    assert watched.look_twice()
    strict.write(rule())
    assert watched.look_twice()
    assert [each.digest for each in logged(sqlite_store)][::2] == [first, first]
    with sqlite_store.read() as connection:
        newest = kept.in_force(connection)
    assert newest is not None
    assert newest.digest == first


def test_an_unsigned_start_is_refused(strict: Place, watch: Watch, sqlite_store: Store) -> None:
    shutil.rmtree(strict.policies / ".signatures")
    with pytest.raises(Unapproved, match="an author's signature and a second person's"):
        watch(strict)
    assert logged(sqlite_store) == []


def test_a_start_compares_with_the_store_and_not_with_nothing(strict: Place, watch: Watch) -> None:
    watch(strict)
    strict.write(rule("block"))
    strict.sign(strict.digest(), "alice", Role.AUTHOR)
    assert watch(strict).in_force.rules[0].then == "block"
    strict.write(rule("review"))
    strict.sign(strict.digest(), "alice", Role.AUTHOR)
    with pytest.raises(Unapproved, match="second person"):
        watch(strict)


def test_what_another_process_took_is_taken_here_without_signatures(
    strict: Place, watch: Watch, tmp_path: Path
) -> None:
    """Signatures may reach the machines at different times; what is in force is one fact of the store."""
    here, there = watch(strict), watch(strict)
    strict.write(rule("review"))
    assert not here.look_twice()
    strict.approve()
    assert there.look_twice()
    shutil.rmtree(strict.policies / ".signatures")
    assert here.look_twice()
    assert here.in_force.digest == there.in_force.digest


def test_two_processes_record_one_change_once(place: Place, watch: Watch, sqlite_store: Store) -> None:
    one, other = watch(place), watch(place)
    place.write(rule("review"))
    assert one.look_twice()
    assert other.look_twice()
    assert len(logged(sqlite_store)) == 2


def test_a_store_that_is_away_is_tried_again(place: Place, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = watch(place)
    place.write(rule("review"))
    assert not watched.reloader.look()
    with monkeypatch.context() as patch:
        patch.setattr(kept, "take", _unavailable)
        with pytest.raises(StoreUnavailable):
            watched.reloader.look()
    assert watched.reloader.look()


def _unavailable(*_: object, **__: object) -> bool:
    raise StoreUnavailable("the store is locked")


def test_lists_in_the_store_judge_from_the_next_look_on(place: Place, watch: Watch, sqlite_store: Store) -> None:
    watched = watch(place)
    before = watched.in_force
    with sqlite_store.write() as connection:
        add(connection, "watched", ["acct_1"], by="risk", reason="known", until=None, now=NOON)
    place.write("policy: [")  # what lies in the directory by now does not matter
    watched.look_twice()
    assert watched.reloader.look() or watched.in_force is not before
    assert watched.in_force.digest == before.digest
    assert watched.in_force.refs != before.refs
    assert watched.in_force.policies[0].lists["watched"] == {"acct_1": None}
    with sqlite_store.write() as connection:
        remove(connection, "watched", ["acct_1"], by="risk", reason="cleared", now=NOON)
    assert watched.reloader.look()
    assert watched.in_force.refs == before.refs


def test_a_running_engine_takes_changes_in_time(place: Place) -> None:
    cordon = Cordon.from_loaded(place.config)
    try:
        place.write(rule("review"))
        before, until = cordon.policies.digest, time.monotonic() + DEADLINE
        while cordon.policies.digest == before:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert cordon.screen(make_event("payout.requested")).outcome == "review"
    finally:
        cordon.close()


def test_every_decision_is_under_one_set_while_sets_change(place: Place) -> None:
    """Two sets of two policies each are swapped all the time; no decision may have one policy of each."""
    sets = []
    for then in ("review", "hold"):
        place.write(rule(then))
        place.write(rule(then, "q"), "q.yaml")
        sets.append(load_set(place.config.policy_files()))
    cordon = Cordon.from_loaded(place.config)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for each in sets:
                cordon.adopt(each)

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        refs, outcomes = set(), set()
        for number in range(120):
            decision = cordon.screen(_event(number))
            refs.add(decision.policies)
            own = frozenset(match.outcome for match in decision.matches if match.rule != "standing_hold")
            outcomes.add((decision.policies, own))
    finally:
        stop.set()
        swapping.join()
        cordon.close()
    assert refs <= {each.refs for each in sets}
    assert len(outcomes) == len(refs), "the matches are of the set that the decision names"


def _event(number: int) -> Event:
    return make_event("payout.requested").model_copy(update={"id": f"evt_{number}"})


PROGRAM = """
import sys, time
from paycordon.config import load_config
from paycordon.screening import Cordon
cordon = Cordon.from_loaded(load_config(__import__("pathlib").Path(sys.argv[1]), {"K": "k" * 32}))
print(cordon.policies.digest, flush=True)
before, until = cordon.policies.digest, time.monotonic() + 30
while cordon.policies.digest == before and time.monotonic() < until:
    time.sleep(0.02)
print(cordon.policies.digest, flush=True)
cordon.close()
"""


@pytest.fixture
def processes(strict: Place) -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(strict.root / "paycordon.yaml")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    yield started
    for each in started:
        each.kill()
        each.communicate()


def test_two_processes_take_one_signed_change(
    strict: Place, processes: list[subprocess.Popen[str]], sqlite_store: Store
) -> None:
    streams = [each.stdout for each in processes]
    first = {stream.readline().strip() for stream in streams if stream}
    assert first == {strict.digest()}
    strict.write(rule("review"))
    changed = time.monotonic()
    signed = strict.approve()
    assert {stream.readline().strip() for stream in streams if stream} == {signed}
    assert time.monotonic() - changed < DEADLINE
    assert len(logged(sqlite_store)) == 2
    assert verify(sqlite_store).ok


def test_errors_of_the_start_are_configuration_errors(place: Place, watch: Watch) -> None:
    place.write("policy: [")
    with pytest.raises(PolicyError):
        watch(place)
    shutil.rmtree(place.policies)
    with pytest.raises(ConfigError):
        watch(place)


def test_a_closed_engine_looks_no_more(place: Place) -> None:
    cordon = Cordon.from_loaded(place.config, patience=timedelta(seconds=5))
    cordon.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "paycordon policies"]
