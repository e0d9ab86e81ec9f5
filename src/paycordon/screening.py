"""Judge an event and record the judgement: `Cordon.screen`.

Reads a snapshot, runs the checks on it, evaluates the policies, and writes event, decision, holds, case, log entry and
work in one transaction. It reads without a lock and writes only if the merchant's history has not grown meanwhile;
if it has, it judges again. It never speaks to a gateway, and it never raises: the caller gets an outcome in its budget.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from paycordon.admission import Instances, is_repeated
from paycordon.coalition.identifiers import Digester, Leads
from paycordon.coalition.indicators import Standards
from paycordon.config import Config, load_config
from paycordon.context import Context, NameHit
from paycordon.covering import unremarkable
from paycordon.decisions import CheckError, Decision, Evaluation, Finding, Outcome, RuleMatch
from paycordon.errors import StoreUnavailable
from paycordon.events import Event
from paycordon.ids import Randomness, new_id
from paycordon.isolation import CheckRunner, Monotonic
from paycordon.judging import SCREENED_STAGES, Judge
from paycordon.judging import Limits as Limits
from paycordon.metrics import Metrics
from paycordon.names.configured import NamedBy, named_by
from paycordon.plugins import Plugins
from paycordon.plugins import load as load_plugins
from paycordon.policy import PolicySet
from paycordon.policy.limiter import Usage, stopped_by
from paycordon.reload import Reloader
from paycordon.store import Store
from paycordon.store.engine import Session
from paycordon.store.ledger import Entry, Superseded, record
from paycordon.store.lookups import Lookup, origin_and_lookup
from paycordon.store.snapshot import context, standing_alone, standing_of
from paycordon.store.volumes import Counted, count, usage
from paycordon.store.windows import aggregate

UNAVAILABLE_REASON = "processing_delayed"

Clock = Callable[[], datetime]
_logger = logging.getLogger("paycordon")


def utc_now() -> datetime:
    """The clock of a running deployment."""
    return datetime.now(UTC)


class Cordon:
    """The engine: screens events under the configured policies.

    Thread-safe. Make one per process and keep it; `close` it at the end.
    """

    def __init__(
        self,
        store: Store,
        policies: PolicySet,
        plugins: Plugins,
        digester: Digester,
        *,
        names: NamedBy | None = None,
        limits: Limits | None = None,
        standards: Standards | None = None,
        lookup: Lookup | None = None,
        metrics: Metrics | None = None,
        clock: Clock = utc_now,
        monotonic: Monotonic = time.monotonic,
        randomness: Randomness = secrets.token_bytes,
        instances: Collection[str] = (),
    ) -> None:
        self.store = store
        self._instances = Instances(instances)
        self.plugins = plugins
        self.digester = digester
        self.metrics = metrics or Metrics()
        self._names = names or (lambda _: ())
        self._limits = limits or Limits()
        self._standards = standards or Standards()
        self._lookup = lookup
        self._clock = clock
        self._monotonic = monotonic
        self._randomness = randomness
        self._runner = CheckRunner(self._limits.check_deadline.total_seconds(), monotonic)
        self._judge = Judge(policies, plugins)
        self._reloader: Reloader | None = None
        self._turns = tuple(threading.Lock() for _ in range(256))
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="paycordon-screen")

    @classmethod
    def from_config(cls, path: str | Path, environ: Mapping[str, str] = os.environ) -> Self:
        """Open a deployment as its `paycordon.yaml` says; changed policies are taken into force within 5 s.

        Raises:
            ConfigError: something in the configuration, a plugin or a policy is wrong; says where and how to fix it.
            StoreUnavailable: the database cannot be reached or written.
        """
        return cls.from_loaded(load_config(Path(path), environ))

    @classmethod
    def from_loaded(cls, config: Config, plugins: Plugins | None = None, *, patience: timedelta | None = None) -> Self:
        """Open a deployment whose configuration was read already; raises as `from_config`.

        Args:
            config: the configuration.
            plugins: what to use instead of the installed plugins.
            patience: how long to wait for a lock of the database; the screening budget by default, for no caller must
                wait longer than it asked for, and a database that is dead is noticed sooner. Workers have nobody
                waiting.
        """
        plugins = plugins or load_plugins(config)
        digester = config.digester()
        digester.prepare()  # its libraries load now, not within somebody's budget
        limits = Limits.of(config.screening)
        watch = limits.store_patience if patience is None else None
        store, metrics = Store.open(config.store, patience=patience or limits.budget, watch=watch), Metrics()
        names = named_by(config, digester)
        reloader = Reloader(config, store, metrics, utc_now)
        try:
            made = cls(
                store,
                reloader.begin(),
                plugins,
                digester,
                names=names,
                limits=limits,
                standards=config.standards,
                lookup=Lookup(config.lookup, store) if config.lookup else None,
                metrics=metrics,
                instances=config.gateways,
            )
        except BaseException:
            store.close()
            raise
        made._reloader = reloader
        if made._lookup is not None:
            made._lookup.start()
        reloader.start(made.adopt)
        return made

    @property
    def instances(self) -> frozenset[str]:
        """The configured gateway instances; empty where no configuration says. At others nobody enforces a hold."""
        return self._instances.names

    @property
    def policies(self) -> PolicySet:
        """What judges now."""
        return self._judge.policies

    def adopt(self, policies: PolicySet) -> None:
        """Judge by other policies from now on; screenings that have begun end under those they began with."""
        self._judge = Judge(policies, self.plugins)

    def close(self) -> None:
        """Stop the threads and give the database connections back."""
        for looking in (self._reloader, self._lookup):
            if looking is not None:
                looking.close()
        self._threads.shutdown()
        self._runner.close()
        self.store.close()

    def screen(self, event: Event) -> Decision:
        """Judge an event, record it with its decision, and return the decision.

        An event that was screened before gets the decision it got then; something else under the same id inherits
        nothing: it is held without being recorded, and needs an id of its own. Events that are context only
        (`payment.*`) are recorded and get an `allow` that is not itself recorded. When the store cannot be used, the
        decision states the configured outcome and nothing is recorded: ask again later.
        """
        started = self._monotonic()
        self._instances.warn_of(event.instance)
        try:
            decision = self._screen(event, started)
        except StoreUnavailable as error:
            _logger.warning("the store is unavailable, so an event was not screened: %s", error)
            decision = self._undecided(event, "store_unavailable")
        except Exception as error:  # the payment path must get an answer, whatever is broken here
            # Its text may repeat personal data, so only its type is logged.
            _logger.critical("screening failed: %s", type(error).__name__)
            decision = self._undecided(event, "internal_error")
        self.metrics.decided(decision, self._monotonic() - started)
        return decision

    def preview(self, event: Event) -> Decision:
        """Judge an event as `screen` would, but record nothing; the decision's id begins with `unrecorded_`.

        Of an event that was screened before, returns the decision it got then.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        started = self._monotonic()
        judge, now, leads = self._judge, self._clock(), self.digester.leads(event)
        concealed, named = leads.event, self._named(event)
        with self.store.session() as session:
            with session.read() as connection:
                found, knows = origin_and_lookup(self._lookup, connection, concealed, now)
                if found.decision and found.recorded and is_repeated(concealed, found.recorded):
                    return Decision.model_validate_json(found.decision)
                known = context(connection, leads, found, now, self._standards, knows)
                wanted = judge.plan(concealed).aggregates
                numbers = aggregate(connection, concealed, found.merchant, wanted, leads.older)
            known = replace(known, names=named)
            until = started + self._limits.budget.total_seconds()
            covered = found.directive is not None
            decision, _ = self._judged(judge, session, concealed, known, numbers, started, until, covered=covered)
        return decision.model_copy(update={"id": new_id("unrecorded", now, self._randomness)})

    async def screen_async(self, event: Event) -> Decision:
        """The same as `screen`, on a thread of its own, so that the event loop goes on."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.screen, event)

    def in_force(self, decision: Decision) -> Outcome:
        """Say what still stands between a screened activity and its gateway, now.

        A decision never changes, but its holds are released by people. Returns the most severe outcome of the holds
        in force on the decision's merchant or account; of an unrecorded decision, the decision's own outcome.
        """
        if _is_unrecorded(decision):
            return decision.outcome
        try:
            with self.store.read() as connection:
                return standing_of(connection, decision.merchant, decision.subject)
        except StoreUnavailable:
            return decision.outcome

    async def in_force_async(self, decision: Decision) -> Outcome:
        """The same as `in_force`, on a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.in_force, decision)

    def _screen(self, event: Event, started: float) -> Decision:
        leads, named = self.digester.leads(event), self._named(event)
        budget = self._limits.budget.total_seconds()
        until = started + budget
        with self._turn_of(event, budget / 2), self.store.session(budget) as session:
            while True:
                try:
                    return self._screen_once(session, leads, named, started, until)
                except Superseded:
                    if self._monotonic() >= until:
                        raise StoreUnavailable("the merchant's history kept changing") from None

    @contextmanager
    def _turn_of(self, event: Event, patience: float) -> Iterator[None]:
        """Let events of one merchant wait for each other in this process, for a while.

        Judged all at once, all but one would have to be judged again, and some would never get through.
        """
        turn = self._turns[hash(event.merchant.id or event.account.id) % len(self._turns)]
        taken = turn.acquire(timeout=patience)
        try:
            yield
        finally:
            if taken:
                turn.release()

    def _named(self, event: Event) -> tuple[NameHit, ...]:
        """Compare the event's names with the lists: before its identifiers are nothing but digests."""
        return self._names(event) if event.stage in SCREENED_STAGES else ()

    def _screen_once(
        self, session: Session, leads: Leads, named: tuple[NameHit, ...], started: float, until: float
    ) -> Decision:
        """Judge on one snapshot.

        Raises:
            Superseded: the snapshot was stale by the time the decision was to be recorded.
        """
        judge, now, event = self._judge, self._clock(), leads.event
        with session.read() as connection:
            found, knows = origin_and_lookup(self._lookup, connection, event, now)
            if found.recorded is not None and not is_repeated(event, found.recorded):
                _logger.error("an event id was used again for something else; nothing was recorded of that")
                return self._undecided(event, "event_id_reused", least=Outcome.HOLD)
            if found.decision is not None:
                return Decision.model_validate_json(found.decision)
            known = context(connection, leads, found, now, self._standards, knows)
            numbers = aggregate(connection, event, found.merchant, judge.plan(event).aggregates, leads.older)
            covered = found.directive is not None
        known = replace(known, names=named)
        decision, real = self._judged(judge, session, event, known, numbers, started, until, covered=covered)
        if found.recorded is not None:
            return decision
        recorded = decision if event.stage in SCREENED_STAGES else None
        with session.write() as connection:
            covert = real if recorded is not None and real is not decision else None
            entry = Entry(event, found, recorded, known.standing, covert, leads.domains, leads.shared, judge.coalition)
            record(connection, entry, now, self._randomness)
            if recorded is not None and (capped := judge.capped(decision.bindings, known.standing)):
                count(connection, [Counted(each, stopped_by(decision.matches, each)) for each in capped], now)
        self._alarm(decision)
        return decision

    def _judged(
        self,
        judge: Judge,
        session: Session,
        event: Event,
        known: Context,
        numbers: Mapping[str, int | float | None],
        started: float,
        until: float,
        *,
        covered: bool,
    ) -> tuple[Decision, Decision]:
        """Return the decision for everybody, and what was really decided: the same unless it is `covered`."""

        def usage_of(bindings: Sequence[str]) -> Mapping[str, Usage]:
            with session.read() as connection:
                return usage(connection, bindings, known.now)

        plan = judge.plan(event)
        findings, errors = list[Finding](), list[CheckError]()
        if plan.calls:
            findings, errors = self._runner.run(event, plan.calls, plan.contexts(known, numbers), until)

        def judged_by(findings: Sequence[Finding], errors: Sequence[CheckError]) -> Evaluation:
            return judge.evaluate(event, known, findings, errors, numbers, usage_of)

        judged = judged_by(findings, errors)
        real = Decision(
            id=new_id("dec", known.now, self._randomness),
            event_id=event.id,
            event_type=event.type,
            instance=event.instance,
            mode=event.mode,
            merchant=known.merchant,
            subject=event.subject,
            outcome=judged.outcome,
            merchant_reason=judged.merchant_reason,
            matches=judged.matches,
            findings=tuple(findings),
            errors=tuple(errors),
            rule_errors=judged.errors,
            scores=judged.scores,
            shadow=judged.shadow,
            caps=judged.caps,
            bindings=judged.bindings,
            aggregates=dict(numbers),
            policies=judge.policies.refs,
            decided_at=known.now,
            elapsed_us=int((self._monotonic() - started) * 1_000_000),
        )
        return (unremarkable(real, judged_by) if covered else real), real

    def _alarm(self, decision: Decision) -> None:
        """Say that a cap was reached; the decision, and so the log, says it too."""
        for cap in decision.caps:
            self.metrics.capped(cap.binding)
            _logger.critical("binding `%s` has reached its cap on `%s`", cap.binding, cap.outcome)

    def _undecided(self, event: Event, rule: str, *, least: Outcome = Outcome.ALLOW) -> Decision:
        outcome = self._limits.when_unavailable | least if event.stage in SCREENED_STAGES else Outcome.ALLOW
        reason = UNAVAILABLE_REASON if outcome.stops else ""
        now = self._clock()
        return Decision(
            id=new_id("unrecorded", now, self._randomness),
            event_id=event.id,
            event_type=event.type,
            instance=event.instance,
            mode=event.mode,
            merchant=event.merchant.id or standing_alone(event.instance, event.account.id),
            subject=event.subject,
            outcome=outcome,
            merchant_reason=reason,
            matches=(RuleMatch(policy="paycordon", rule=rule, outcome=outcome, merchant_reason=reason),),
            policies=self.policies.refs,
            decided_at=now,
        )


def _is_unrecorded(decision: Decision) -> bool:
    return decision.id.startswith("unrecorded_")
