"""The lookup never hides what a decision has to see, whatever happens to its file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from paycordon import checks as builtin_checks
from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Changes, Indicator, Withdrawn
from paycordon.events import Event, Identifier
from paycordon.plugins import Plugins
from paycordon.policy import PolicySet
from paycordon.screening import Cordon, Limits
from paycordon.store import Store, lookups
from paycordon.store.feeding import apply_changes
from paycordon.store.lookups import Lookup, build, refresh, state
from paycordon.testing import make_event

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Scene:
    """An engine with a lookup, whose checks meet bank accounts by their numbers."""

    def __init__(self, store: Store, path: Path, digester: Digester) -> None:
        self.store, self.path, self.digester = store, path, digester
        self.lookup = Lookup(path, store)
        limits = Limits(budget=timedelta(seconds=30), check_deadline=timedelta(seconds=10))
        plugins = Plugins({"checks": builtin_checks})
        self.cordon = Cordon(
            store, PolicySet(), plugins, digester, limits=limits, lookup=self.lookup, clock=lambda: NOW
        )
        self._events = 0

    def item(self, number: int) -> Indicator:
        digest = self.digester.digest(Identifier.model_validate({"kind": "bank_account", "value": f"A{number}"}))
        return Indicator("bank_account", digest, "IWF", f"case-{number}", 90, "allegation")

    def know(self, *numbers: int) -> None:
        apply_changes(self.store, Changes("IWF", [self.item(n) for n in numbers]), NOW)

    def forget(self, number: int) -> None:
        apply_changes(
            self.store, Changes("IWF", withdrawn=[Withdrawn(self.item(number).digest, f"case-{number}")]), NOW
        )

    def event(self, known: Sequence[Mapping[str, str]]) -> Event:
        """One of a merchant that is known by nothing yet."""
        merchant = {"id": f"m_{self._events}"}
        return make_event("payout.requested", id=f"evt_{self._events}", identifiers=known, merchant=merchant)

    def meets(self, number: int) -> bool:
        self._events += 1
        known = ({"kind": "bank_account", "value": f"A{number}"},)
        decision = self.cordon.screen(self.event(known))
        assert decision.errors == ()
        return any(each.code == "indicator.match" for each in decision.findings)

    def uses_the_file(self) -> bool:
        """Whether an event that meets nothing is judged without asking the table of indicators."""
        asked: list[str] = []
        original = lookups.View.knows

        def spied(view: lookups.View, digest: str) -> bool:
            asked.append(digest)
            return original(view, digest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lookups.View, "knows", spied)
            self.meets(999)
        return bool(asked)


@pytest.fixture
def scene(store: Store, tmp_path: Path, digester: Digester) -> Iterator[Scene]:
    made = Scene(store, tmp_path / "lookup", digester)
    yield made
    made.cordon.close()


def test_what_is_in_the_file_is_met_and_what_is_not_is_not_asked_for(scene: Scene) -> None:
    scene.know(1, 2)
    assert build(scene.store, scene.path) == 2
    scene.lookup.look()
    assert scene.uses_the_file()
    assert (scene.meets(1), scene.meets(2), scene.meets(3)) == (True, True, False)


def test_what_is_added_or_withdrawn_later_counts_with_the_next_screening(scene: Scene) -> None:
    scene.know(1)
    build(scene.store, scene.path)
    scene.lookup.look()
    scene.know(2)
    scene.forget(1)
    assert (scene.meets(1), scene.meets(2)) == (False, True)
    scene.know(1)
    assert scene.meets(1), "said again"
    scene.know(3)
    assert scene.meets(3)
    assert scene.uses_the_file()


def test_a_file_that_is_missing_cut_or_damaged_leaves_screening_right(scene: Scene) -> None:
    scene.know(1)
    scene.lookup.look()
    assert scene.meets(1), "there is none"
    build(scene.store, scene.path)
    whole = scene.path.read_bytes()
    for content in (whole[:50], whole[:-8], whole[:-1] + b"\x00" * 9, b""):
        scene.path.unlink()
        scene.path.write_bytes(content)
        scene.lookup.look()
        assert scene.meets(1)
    refresh(scene.store, scene.path)
    scene.lookup.look()
    assert scene.uses_the_file()
    scene.path.unlink()
    scene.lookup.look()
    scene.know(2)
    assert (scene.meets(1), scene.meets(2)) == (True, True), "the one that was open goes on"


def test_a_file_of_another_store_is_not_used(scene: Scene, tmp_path: Path) -> None:
    other = Store.open(f"sqlite:///{tmp_path / 'other.db'}")
    apply_changes(other, Changes("IWF", [scene.item(7)]), NOW + timedelta(hours=1))
    build(other, scene.path)
    other.close()
    scene.know(1)
    scene.lookup.look()
    assert "another store" in (state(scene.store, scene.path).trouble or "")
    assert not scene.uses_the_file()
    assert scene.meets(1)
    assert refresh(scene.store, scene.path)
    scene.lookup.look()
    assert scene.uses_the_file()
    assert scene.meets(1)


def test_a_file_from_the_future_of_a_restored_store_is_not_used(sqlite_url: str, tmp_path: Path, digester) -> None:
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    store = Store.open(sqlite_url)
    scene = Scene(store, tmp_path / "lookup", digester)
    scene.know(1)
    scene.cordon.close()
    shutil.copy(database, tmp_path / "backup.db")
    store = Store.open(sqlite_url)
    later = Scene(store, tmp_path / "lookup", digester)
    later.know(2)
    build(store, later.path)
    later.cordon.close()
    restored = Store.open(f"sqlite:///{tmp_path / 'backup.db'}")
    again = Scene(restored, later.path, digester)
    again.know(3)
    again.lookup.look()
    assert not again.uses_the_file()
    assert (again.meets(1), again.meets(3), again.meets(2)) == (True, True, False)
    again.cordon.close()


def test_when_too_much_was_added_the_store_is_asked_until_there_is_a_newer_file(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "MOST_PENDING", 3)
    monkeypatch.setattr(lookups, "FOLD_FROM", 3)
    scene.know(1)
    build(scene.store, scene.path)
    scene.lookup.look()
    scene.know(2, 3)
    assert not refresh(scene.store, scene.path)
    assert scene.uses_the_file()
    scene.know(4, 5)
    assert not scene.uses_the_file()
    assert scene.meets(5)
    assert refresh(scene.store, scene.path)
    scene.lookup.look()
    assert scene.uses_the_file()
    assert all(scene.meets(number) for number in range(1, 6))
    assert state(scene.store, scene.path).digests == 5


def test_a_transaction_from_before_the_file_is_not_judged_by_it(scene: Scene) -> None:
    """Something that counted then may be withdrawn by now, and so not be in the file."""
    scene.know(1)
    with scene.store.session() as session, session.read() as connection:
        connection.execute(text("SELECT 1 FROM log")).all()  # what it sees is settled here
        scene.forget(1)
        scene.know(2)
        build(scene.store, scene.path)
        scene.lookup.look()
        view = scene.lookup.view
        assert view is not None
        row = connection.execute(text("SELECT hash FROM log WHERE seq = :p"), {"p": view.file.mark.position}).first()
        assert row is None
        assert scene.lookup.predicate(connection, view, 1, None) is None


def test_a_process_sees_a_newer_file_by_itself(scene: Scene) -> None:
    scene.know(1)
    scene.lookup.start()
    build(scene.store, scene.path)
    os.utime(scene.path)
    for _ in range(100):
        if scene.lookup.view is not None:
            break
        scene.lookup._stop.wait(0.1)
    assert scene.uses_the_file()
