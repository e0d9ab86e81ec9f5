"""Holds, releases, new accounts, hands at the gateway, lost answers, crashes and stalls in any order, beside a model.

The model knows three things only: which holds are in force, what each account was set to by its owner, and what a hold
of each scope asks for. Whatever happened, once all is quiet each account has exactly that.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection, func, select

from paycordon.decisions import Outcome, Scope
from paycordon.enforcement import Limits, Reconciler, Timing, reconcile, timing
from paycordon.errors import OutcomeUnknown, RetryLater
from paycordon.events import Subject
from paycordon.gateways import Applied, Change, GatewayState, Restriction, check_fence
from paycordon.people import Person, Role
from paycordon.record.verify import verify
from paycordon.store import Store, cases, holds, restrictions, schema
from paycordon.store.holds import NewHold, Source
from paycordon.store.restrictions import LeaseLost
from paycordon.store.wanted import want_reconciled
from paycordon.testing import FrozenClock

_spec = spec_from_file_location("accounts_in_memory", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
_conftest = module_from_spec(_spec)
_spec.loader.exec_module(_conftest)
Accounts, SCHEDULES = _conftest.Accounts, _conftest.SCHEDULES

MERCHANTS, INSTANCES = ("m_0", "m_1"), ("acme", "beta")
ANA, BEN = Person("ana", frozenset({Role.ANALYST})), Person("ben", frozenset({Role.APPROVER}))
TIMING = Timing(tries=2, try_pause=timedelta(0), give_up_after=3)
LEVEL = {Scope.PAYOUT: 0, Scope.OUTFLOW: 1, Scope.PAYOUTS: 1, Scope.CHARGES: 2, Scope.ONBOARDING: 2}
FAULTS = ("retry", "unknown before", "unknown after", "odd after", "crash before", "crash after", "stall", "late")


class Died(BaseException):
    """The process is gone: nothing after this runs."""


class Troubled(Accounts):  # type: ignore[misc, valid-type]  # loaded by its path
    """The gateway in memory, where calls fail as they are told to."""

    def __init__(self, instance: str) -> None:
        super().__init__(instance)
        self.faults: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.after_lease: list[str] = []

    def read(self, subject: Subject) -> GatewayState:
        if self.faults and self.faults[0] in ("retry", "unknown before", "crash before"):
            self._fail(self.faults.pop(0))
        return super().read(subject)

    def apply(self, subject: Subject, change: Change, key: str) -> Applied:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "stall":
            self.meanwhile()  # the worker stands still for longer than its lease
        check_fence()
        if fault == "stall":
            self.after_lease.append(subject.account)
        if fault == "late":
            self.meanwhile()  # after the fence: the write lands late
        self._fail(fault if fault.endswith(("retry", "before")) else "")
        applied = super().apply(subject, change, key)
        self._fail(fault)
        return applied

    @staticmethod
    def _fail(fault: str) -> None:
        if fault == "retry":
            raise RetryLater("busy")
        if fault in ("unknown before", "unknown after"):
            raise OutcomeUnknown("no answer")
        if fault == "odd after":
            raise ValueError("an answer that cannot be read")
        if fault.startswith("crash"):
            raise Died


class Mortal:
    """A store in whose writes the process dies when it is told to: before the commit, or right after it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.dies: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        when = self.dies.pop(0) if self.dies else ""
        with self._store.write() as connection:
            yield connection
            if when == "before commit":
                raise Died
        if when == "after commit":
            raise Died


class Enforcement(RuleBasedStateMachine):
    """Two merchants with accounts at two gateways."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="paycordon-model-"))
        shutil.copy(self.template, self.directory / "store.db")
        self.store = Store.open(f"sqlite:///{self.directory / 'store.db'}", migrate=False)
        self.mortal = Mortal(self.store)
        self.clock = FrozenClock()
        self.gateways = {instance: Troubled(instance) for instance in INSTANCES}
        for gateway in self.gateways.values():
            gateway.meanwhile = self._others_work
        self.owners = 0
        self.workers = {(instance, n): self._worker(instance) for instance in INSTANCES for n in range(2)}
        self.owner_of: dict[tuple[str, str], str] = {}
        self.own: dict[tuple[str, str], dict[str, Any]] = {}
        self.active: dict[str, tuple[str, str, str, Scope, bool]] = {}
        self.wishes: Counter[tuple[str, str]] = Counter()
        self.quiet = True
        for merchant in MERCHANTS:
            self._account(merchant, "acme", "daily")

    def teardown(self) -> None:
        self.settle()
        report = verify(self.store)
        assert report.ok, report.problems
        self.store.close()
        shutil.rmtree(self.directory)

    @rule(merchant=st.sampled_from(MERCHANTS), instance=st.sampled_from(INSTANCES), n=st.integers(0, 3))
    @precondition(lambda self: len(self.own) < 6)
    def new_account(self, merchant: str, instance: str, n: int) -> None:
        self._account(merchant, instance, ("daily", "weekly", "monthly", "daily")[n])
        self.quiet = False

    @rule(data=st.data(), scope=st.sampled_from(list(Scope)), two_people=st.booleans())
    def place(self, data: st.DataObject, scope: Scope, two_people: bool) -> None:
        self._place(*data.draw(st.sampled_from(sorted(self.own))), scope, two_people=two_people)

    @rule(data=st.data())
    @precondition(lambda self: self.active)
    def release(self, data: st.DataObject) -> None:
        self._release(data.draw(st.sampled_from(sorted(self.active))))

    @rule(data=st.data(), schedule=st.sampled_from(["daily", "weekly", "monthly"]), charges=st.booleans())
    @precondition(lambda self: self.quiet)
    def somebody_changes_it_by_hand(self, data: st.DataObject, schedule: str, charges: bool) -> None:
        instance, account = data.draw(st.sampled_from(sorted(self.own)))
        changed = {"schedule": schedule, "charges": charges}
        self.gateways[instance].settings_of[account] = changed
        if self._level(instance, account) == 0:
            self.own[instance, account] = dict(changed)
        else:
            self.wishes[instance, account] += 1  # it is put back once
            self.clock.advance(TIMING.recheck)
        self.quiet = False

    @rule(data=st.data(), scope=st.sampled_from([Scope.PAYOUTS, Scope.CHARGES]), fault=st.sampled_from(FAULTS))
    def something_changes_in_trouble(self, data: st.DataObject, scope: Scope, fault: str) -> None:
        """A hold comes or goes, and the worker that takes it up meets trouble."""
        instance, account = data.draw(st.sampled_from(sorted(self.own)))
        theirs = [hold for hold, (_, i, a, _, _) in self.active.items() if (i, a) == (instance, account)]
        if theirs:
            self._release(theirs[0])
        else:
            self._place(instance, account, scope, two_people=False)
        self.gateways[instance].faults = [fault]
        if fault in ("late", "stall"):
            for key in self.own:
                self.wishes[key] += 2  # another worker's change, and its repair
        for n in range(2):
            self._run((instance, n))

    @rule(when=st.sampled_from(["before commit", "after commit", ""]), again=st.integers(0, 2))
    def death(self, when: str, again: int) -> None:
        self.mortal.dies = [""] * again + [when]

    @rule(worker=st.sampled_from([(instance, n) for instance in INSTANCES for n in range(2)]))
    def work(self, worker: tuple[str, int]) -> None:
        self._run(worker)

    @rule(seconds=st.sampled_from([1, 10, 400, 4_000, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.quiet = self.quiet and seconds < 400

    @rule()
    def settle(self) -> None:
        """Once nothing goes wrong any more, each account has what the model says, and no more was done than that."""
        self.mortal.dies = []
        for gateway in self.gateways.values():
            gateway.faults = []
        for _ in range(4):
            self.clock.advance(timedelta(hours=2))
            while sum(self._run(worker) for worker in self.workers):  # each of them, also after one had something
                pass
        for (instance, account), own in self.own.items():
            level = self._level(instance, account)
            expected = dict(own)
            if level:
                schedule, charges = SCHEDULES[list(Restriction)[level]]
                expected = {"schedule": schedule, "charges": charges and own["charges"]}
            gateway = self.gateways[instance]
            assert gateway.settings_of[account] == expected, (instance, account, level)
            assert gateway.writes[account] <= self.wishes[instance, account], (instance, account)
            assert gateway.after_lease == [], "a request left after its worker's lease had passed"
        self._check_rows()
        self.quiet = True

    def _place(self, instance: str, account: str, scope: Scope, *, two_people: bool) -> None:
        merchant = self.owner_of[instance, account]
        subject = ("payout", f"po_{len(self.active)}")
        wanted = NewHold(
            merchant, instance, account, *subject, Outcome.HOLD, scope, "p/r", "", Source.PERSON,
            placed_by="ana", internal_reason="a model", two_people=two_people,
        )  # fmt: skip
        with self.store.write() as connection:
            placed = holds.place_by_hand(connection, wanted, self.clock(), self._randomness)
        self.active[placed.id] = (merchant, instance, account, scope, two_people)
        self._wished(merchant)

    def _release(self, hold: str) -> None:
        merchant, _, _, _, two_people = self.active.pop(hold)
        with self.store.write() as connection:
            by = {"agreed_by": BEN.name} if two_people else {}
            holds.release(connection, hold, by=ANA.name, reason="looked at", now=self.clock(), **by)
        self._wished(merchant)

    def _check_rows(self) -> None:
        held = {merchant for merchant, *_ in self.active.values()}
        with self.store.read() as connection:
            for row in restrictions.listed(connection):
                level = self._level(row.instance, row.account)
                assert (row.state, row.applied.rank) == ("settled", level), row
                assert (row.baseline is None) is (level == 0), row
            counted = connection.execute(select(func.count()).select_from(schema.cases)).scalar_one()
            assert {case.merchant for case in cases.queue(connection)} == held
            assert counted >= len(held)

    def _level(self, instance: str, account: str) -> int:
        merchant = self.owner_of[instance, account]
        asked = (LEVEL[s] for m, i, a, s, _ in self.active.values() if m == merchant or (i, a) == (instance, account))
        return max(asked, default=0)

    def _account(self, merchant: str, instance: str, schedule: str) -> None:
        account = f"a_{len(self.own)}"
        settings_there = {"schedule": schedule, "charges": True}
        self.gateways[instance].settings_of[account] = dict(settings_there)
        self.own[instance, account] = settings_there
        self.owner_of[instance, account] = merchant
        self.wishes[instance, account] += 1
        row = {"instance": instance, "account": account, "merchant": merchant}
        with self.store.write() as connection:
            connection.execute(schema.accounts.insert().values(row))
            want_reconciled(connection, merchant, instance, account, self.clock())

    def _wished(self, merchant: str) -> None:
        for key, owner in self.owner_of.items():
            self.wishes[key] += owner == merchant
        self.quiet = False

    def _worker(self, instance: str) -> Reconciler:
        self.owners += 1
        return Reconciler(
            self.mortal,  # type: ignore[arg-type]  # all of a store that it uses
            self.gateways[instance],
            owner=f"w_{self.owners}",
            clock=self.clock,
            sleep=lambda _: None,
            timing=TIMING,
            limits=Limits(failures=1_000),
            monotonic=lambda: self.clock().timestamp(),
            jitter=lambda: 0.5,
        )

    def _run(self, worker: tuple[str, int]) -> bool:
        try:
            return self.workers[worker].run_once()
        except Died:
            self.workers[worker] = self._worker(worker[0])
            return True

    def _others_work(self) -> None:
        """What happens while a worker stands still: its lease passes, and another takes over."""
        dies, self.mortal.dies = self.mortal.dies, []
        faults = {instance: gateway.faults for instance, gateway in self.gateways.items()}
        for gateway in self.gateways.values():
            gateway.faults = []
        self.clock.advance(TIMING.lease + timedelta(seconds=1))
        for instance in INSTANCES:
            other = self._worker(instance)
            while other.run_once():
                pass
        for instance, gateway in self.gateways.items():
            gateway.faults = faults[instance]
        self.mortal.dies = dies

    def _randomness(self, size: int) -> bytes:
        self.owners += 1
        return self.owners.to_bytes(size, "big")


@pytest.fixture(scope="module", autouse=True)
def template(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("model") / "store.db"
    Store.open(f"sqlite:///{path}").close()
    Enforcement.template = path


def bounded(examples: int, **more: Any) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **more,
    )


def test_whatever_happens_each_account_has_what_its_holds_ask_for() -> None:
    run_state_machine_as_test(Enforcement, settings=bounded(40, derandomize=True))


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_whatever_happens_two_thousand_times() -> None:
    run_state_machine_as_test(Enforcement, settings=bounded(2_000))


def no_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing.LeaseFence, "__call__", lambda self, takes: True)


def baseline_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = reconcile.Reconciler._with_baseline

    def forgetful(self: Any, connection: Connection, row: Any, state: GatewayState) -> Any:
        return genuine(self, connection, reconcile.replace(row, baseline=None), state)

    monkeypatch.setattr(reconcile.Reconciler, "_with_baseline", forgetful)


def hold_tells_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "want_reconciled", lambda *_: None)


def any_hold_instead_of_the_most_severe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Restriction, "for_scopes", classmethod(lambda cls, scopes: cls.PAYOUTS_HELD if list(scopes) else cls.NONE)
    )


def silence_is_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeful(self: Any, row: Any, error: Any, *, touched: bool) -> None:
        values = {"applied": row.desired.value, "failures": 0, "last_error": None}
        self._finish(row, GatewayState(row.desired, {}), "settled", values)

    monkeypatch.setattr(reconcile.Reconciler, "_fail", hopeful)


SABOTAGES = [
    no_fence,
    baseline_anew_each_time,
    hold_tells_nobody,
    any_hold_instead_of_the_most_severe,
    silence_is_success,
]


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.__name__)
def test_the_model_notices_what_is_broken(sabotage, monkeypatch: pytest.MonkeyPatch) -> None:
    sabotage(monkeypatch)
    with pytest.raises((AssertionError, LeaseLost, BaseExceptionGroup)):
        run_state_machine_as_test(Enforcement, settings=bounded(150, derandomize=True, phases=[Phase.generate]))
