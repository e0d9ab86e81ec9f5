"""Referrals: whatever dies in the middle leaves all or nothing, and of two people at once one does it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import event as listening

from paycordon.errors import ApprovalRequired, Conflict
from paycordon.exchange.referral import State, Step
from paycordon.people import Person, Role
from paycordon.review import referral_release, referring
from paycordon.store.prepared import Prepared
from paycordon.store.referrals import Referral

from .desk import ROSS, Desk


def way(desk: Desk, id_: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every step of a long life, one after the other."""
    yield "offer", lambda: desk.offer(id_)
    yield "hold", lambda: desk.hold(id_)
    yield "renew", lambda: desk.hold(id_, desk.letter(60))
    yield "undo", lambda: desk.undo(id_)
    yield "hold again", lambda: desk.hold(id_)
    yield "propose", lambda: desk.release(id_, freed=True)
    yield "release", lambda: desk.release(id_, ROSS)
    desk.payout()
    desk.decide()
    yield "act", lambda: desk.step(referring.act, id_)
    yield "feed back", lambda: desk.step(referral_release.feed_back, id_, "told")
    yield "withdraw", lambda: desk.withdraw(id_)


class Died(Exception):
    pass


CHANGED = (
    *("referrals", "referral_steps", "restricted_log", "log", "directives", "indicators", "cases", "case_events"),
    *("indicator_sources", "indicator_batches", "withdrawals", "holds"),
)


def test_whatever_dies_in_the_middle_leaves_all_or_nothing(desk: Desk, monkeypatch) -> None:
    """Each step is let die before each of its statements; what is there then is what was there, and it goes on.

    On PostgreSQL, where looking at everything takes longer, before every fourth.
    """
    desk.payout()
    id_ = desk.receive()
    for name, act in way(desk, id_):
        before = desk.everything(*CHANGED)
        deaths = 0
        for fatal in itertools.count(1, 1 if desk.store.dialect == "sqlite" else 4):
            if attempt(desk, monkeypatch, act, fatal):
                break
            deaths += 1
            assert desk.everything(*CHANGED) == before, (name, fatal)
        assert deaths >= (3 if desk.store.dialect == "sqlite" else 1), name
        after = desk.everything(*CHANGED)
        assert after != before
        act()  # and asking again, not knowing that it got through, does nothing more
        assert desk.everything(*CHANGED) == after, name
    assert desk.sound()


def attempt(desk: Desk, patch: pytest.MonkeyPatch, act: Callable[[], object], fatal: int) -> bool:
    """Let an act die before its n-th change; returns whether it needed fewer."""
    count = itertools.count(1)

    def dies(*_: object) -> None:
        if next(count) == fatal:
            raise Died

    def dies_of_change(connection, cursor, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            dies()

    def dies_of_prepared(name: str):  # these are given to the driver, past SQLAlchemy
        plain = getattr(Prepared, name)
        return lambda *args: (dies(), plain(*args))[1]

    listening.listen(desk.store.engine, "before_cursor_execute", dies_of_change)
    try:
        with patch.context() as patched:
            for name in ("__call__", "many"):
                patched.setattr(Prepared, name, dies_of_prepared(name))
            act()
    except Died:
        return False
    finally:
        listening.remove(desk.store.engine, "before_cursor_execute", dies_of_change)
    return True


def test_of_two_people_at_once_one_is_told_that_the_other_was_faster(desk: Desk) -> None:
    id_ = desk.receive()
    desk.release(id_)
    ready, came = threading.Barrier(3), []

    def go(act: Callable[[], Referral]) -> None:
        ready.wait()
        try:
            came.append(act().state)
        except (Conflict, ApprovalRequired) as error:
            came.append(type(error).__name__)

    rosa = Person("rosa", frozenset({Role.RESTRICTED, Role.APPROVER}))
    acts = (lambda: desk.release(id_, ROSS), lambda: desk.release(id_, rosa), lambda: desk.offer(id_))
    threads = [threading.Thread(target=go, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(isinstance(each, State) for each in came)
    history = [line.step for line in desk.get(id_).history]
    assert history.count(Step.RELEASE) <= 1
    assert len(history) == len(set(history))
    assert desk.sound()
