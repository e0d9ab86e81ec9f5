"""The worker process: several duties side by side, each in a thread of its own.

The deliveries of each gateway instance are screened in one thread and its accounts reconciled in another, so that a
dead gateway delays no other. Messages of an instance that is not configured wait until it is. All work is claimed under
leases: any number of workers may run, on any number of machines, and one that is killed loses nothing.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from paycordon.coalition_sections import RemindersSection
from paycordon.config import Config
from paycordon.enforcement import Limits
from paycordon.enforcement.acting import ActWorker
from paycordon.enforcement.clocks import Clockwork
from paycordon.enforcement.reconcile import Reconciler
from paycordon.errors import StoreUnavailable, type_and_place
from paycordon.exchange.inquiry import Inquiry
from paycordon.exchange.sharing import Exchange
from paycordon.feeds.contract import Feed
from paycordon.gateways import Gateway
from paycordon.inquiring import Watching
from paycordon.intake import DeliveryWorker
from paycordon.outward.exchanging import Exchanging
from paycordon.outward.noticing import noticing
from paycordon.outward.notifying import Channel, Following, Telling, channel_of, channel_of_plugin
from paycordon.outward.reminding import Reminding
from paycordon.plugins import open_exchange, open_feeds, open_inquiries
from paycordon.pulling import pullings
from paycordon.rescreening import Rescreening
from paycordon.review.byhand import ByHand
from paycordon.review.directives import Ending
from paycordon.review.referral_deadlines import ReferralClock
from paycordon.review.retention import Retention
from paycordon.review.takingback import TakingBack
from paycordon.review.withdrawal import Rejudging
from paycordon.screening import Cordon, utc_now
from paycordon.sections import Clocks, EnforcementSection, RetentionSection, Unsupported
from paycordon.spans import Span
from paycordon.store import Store
from paycordon.store.lookups import refresh

Clock = Callable[[], datetime]
_logger = logging.getLogger("paycordon")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a worker waits.

    Attributes:
        idle: after finding nothing to do.
        first_trouble, longest_trouble: after a failure of its own surroundings, such as an unreachable store; the wait
            doubles from the first to the longest.
        checkpoint: between two signed checkpoints of the log.
        upkeep: between two looks for what is rarely there, such as withdrawals.
        retention: between two looks for records that are past their time.
    """

    idle: timedelta = timedelta(seconds=1)
    first_trouble: timedelta = timedelta(seconds=1)
    longest_trouble: timedelta = timedelta(minutes=1)
    checkpoint: timedelta = timedelta(minutes=15)
    upkeep: timedelta = timedelta(minutes=1)
    retention: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do again and again.

    Attributes:
        name: what log lines call it.
        step: does one piece of work and tells whether there was any; raises `StoreUnavailable` when it cannot.
        idle: how long to wait after there was none; none for the worker's own pace.
    """

    name: str
    step: Callable[[], object]
    idle: timedelta | None = None


def owner_name() -> str:
    """Return a name for this worker that no other has: machine, process and randomness."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class Worker:
    """Does everything a deployment has to do after the answer: deliveries, reconciliation, checkpoints.

    Args:
        cordon: the engine; its store holds the work.
        gateways: the adapters by instance; each has threads of its own.
        checkpoint_key: the log's signing key in PEM; without one no checkpoints are made.
        enforcement: how gateways are made to agree with the holds.
        deadlines: how long holds and cases may wait.
        channels: who is told what happens.
        reminders: where the role `restricted` is reminded of its deadlines; nowhere by default.
        unsupported: what is done with holds whose reasons were withdrawn.
        retention: how long records are kept; for good by default.
        lookup: where the lookup of indicators is kept up to date; without a place there is none.
        feeds: what reads each source of indicators, by name; each has a thread of its own.
        exchange: whom this deployment tells what it knows; each has a thread of its own.
        retract_within: by when what others were told is taken back, once what it rests on was released.
        inquiries: the lists of terminated merchants that say later who was listed, by name.
        most_matches: how many merchants a batch of a source may newly match before a person looks; 100 by default.
        owner: a name no other worker has; leases carry it.
        clock: says what time it is, UTC.
        sleep: how to wait, in seconds, between tries of one call to a gateway.
        pace: how long to wait in between.

    Raises:
        ConfigError: the key cannot be read.
    """

    def __init__(
        self,
        cordon: Cordon,
        gateways: Mapping[str, Gateway[Any]],
        *,
        checkpoint_key: str | None = None,
        enforcement: EnforcementSection | None = None,
        deadlines: Clocks | None = None,
        unsupported: Unsupported = Unsupported.CASE,
        retention: RetentionSection | None = None,
        lookup: Path | None = None,
        channels: Iterable[Channel] = (),
        reminders: RemindersSection | None = None,
        feeds: Mapping[str, Feed[Any]] | None = None,
        exchange: Exchange | None = None,
        retract_within: Span = Span(business_days=1),  # noqa: B008  # it cannot change
        inquiries: Mapping[str, Inquiry[Any]] | None = None,
        most_matches: Mapping[str, int] | None = None,
        owner: str | None = None,
        clock: Clock = utc_now,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace | None = None,
    ) -> None:
        self._pace = pace or Pace()
        owner = owner or owner_name()
        store, metrics = cordon.store, cordon.metrics
        enforcement = enforcement or EnforcementSection()
        self._duties: list[Duty] = []
        for instance, gateway in gateways.items():
            deliveries = DeliveryWorker(store, gateways, cordon, clock, owner, instance=instance, metrics=metrics)
            self._duties.append(Duty(f"deliveries of {instance}", deliveries.run_once))
            reconciler = Reconciler(
                store,
                gateway,
                owner=owner,
                clock=clock,
                sleep=sleep,
                limits=Limits(accounts_per_s=enforcement.accounts_per_s_at(instance)),
                on_drift=enforcement.drift_at(instance),
                metrics=metrics,
            )
            self._duties.append(Duty(f"reconciliation of {instance}", reconciler.run_once))
            if gateway.acts:
                acting = ActWorker(store, gateway, owner=owner, clock=clock)
                self._duties.append(Duty(f"acts of {instance}", acting.run_once))
        self._duties.append(Duty("rescreening", Rescreening(store, cordon, clock).step))
        clockwork = Clockwork(store, deadlines or Clocks(), clock, metrics)
        self._duties.append(Duty("clocks", clockwork.run_once))
        rejudging = Rejudging(store, lambda: cordon.policies, unsupported=unsupported, clock=clock)
        self._duties.append(Duty("withdrawals", rejudging.step, self._pace.upkeep))
        ending = Ending(store, lambda: cordon.policies, clock=clock)
        self._duties.append(Duty("upkeep", ending.step))
        self._duties.append(Duty("acts of people", ByHand(store, clock=clock).step))
        reminding = reminders is not None
        self._duties.append(
            Duty("reminders", ReferralClock(store, deadlines or Clocks(), clock, reminding=reminding).step)
        )
        if reminders is not None:
            self._duties.append(Duty("telling", Reminding(store, reminders, owner=owner, clock=clock).run_once))
        self._duties += _telling(store, list(channels), owner, clock)
        kept = Retention(store, retention or RetentionSection(), clock)
        self._duties.append(Duty("retention", kept.step, self._pace.retention))
        for name, pulling in pullings(store, feeds or {}, most_matches or {}, owner, clock, metrics).items():
            self._duties.append(Duty(f"feed {name}", pulling.run_once))
        self._duties += self._telling_others(store, exchange or Exchange(), retract_within, owner, clock)
        for name in inquiries or {}:
            watching = Watching(store, inquiries or {}, name, owner=owner, most_matches=most_matches, clock=clock)
            self._duties.append(Duty(f"inquiry {name}", watching.run_once))
        if lookup is not None:
            self._duties.append(Duty("lookup", lambda: refresh(store, lookup), self._pace.upkeep))
        if checkpoint_key is not None:
            self._duties.append(Duty("checkpoints", _signing(store, checkpoint_key, clock), self._pace.checkpoint))

    @classmethod
    def configured(cls, cordon: Cordon, gateways: Mapping[str, Gateway[Any]], config: Config) -> Self:
        """Return a worker that does everything as a configuration says.

        Raises:
            ConfigError: the log's key cannot be read, or a feed cannot be opened.
        """
        return cls(
            cordon,
            gateways,
            checkpoint_key=config.log_signing_key,
            enforcement=config.enforcement,
            deadlines=config.clocks,
            unsupported=config.withdrawal.unsupported,
            retention=config.retention,
            lookup=config.lookup,
            feeds=open_feeds(config, cordon.plugins),
            exchange=open_exchange(config, cordon.plugins),
            reminders=config.referrals.reminders,
            retract_within=config.withdrawal.retract_within,
            inquiries=open_inquiries(config, cordon.plugins),
            most_matches={name: source.most_new_matches for name, source in config.sources.items()},
            channels=[
                *(channel_of(name, each, utc_now) for name, each in config.notifications.items()),
                *([noticing(cordon.store, config.notices, utc_now)] if config.notices else []),
                *(channel_of_plugin(name, notify) for name, notify in cordon.plugins.notifiers.items()),
            ],
        )

    def _telling_others(
        self, store: Store, exchange: Exchange, within: Span, owner: str, clock: Clock
    ) -> Iterator[Duty]:
        for name in exchange.recipients:
            duty = Exchanging(store, name, exchange, owner=owner, clock=clock)
            yield Duty(f"exchange with {name}", duty.run_once)
            yield Duty(f"upkeep of {name}", duty.tend, self._pace.retention)
        taking_back = TakingBack(store, exchange, within=within, clock=clock)
        yield Duty("retractions", taking_back.step, self._pace.upkeep)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; returns when every thread has finished the piece it was at."""
        run(self._duties, self._pace, stop)

    @property
    def duties(self) -> Sequence[Duty]:
        """What it does, each by its name."""
        return tuple(self._duties)

    def drain(self) -> int:
        """Work until nothing is due, and return how many pieces of work that were.

        What fails at a gateway becomes due again later, and is left for then.

        Raises:
            StoreUnavailable: the database cannot be used; what was done so far is done.
        """
        return drain(self._duties)


def run(duties: Sequence[Duty], pace: Pace, stop: threading.Event) -> None:
    """Do duties side by side until `stop` is set.

    Whatever fails is logged and tried again after a while: a worker that ends by itself would be noticed too late.
    """
    threads = [
        threading.Thread(target=_repeat, args=(duty, pace, stop), name=f"paycordon {duty.name}") for duty in duties
    ]
    _logger.info("works on %s", ", ".join(duty.name for duty in duties))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def drain(duties: Sequence[Duty]) -> int:
    """Do duties side by side until none finds anything to do; returns how many pieces of work there were."""
    done = 0
    with ThreadPoolExecutor(max_workers=max(1, len(duties)), thread_name_prefix="paycordon") as threads:
        # One duty may make work for another: a delivery leads to a hold, a hold to a restriction.
        while pieces := sum(threads.map(_until_idle, duties)):
            done += pieces
    return done


def _repeat(duty: Duty, pace: Pace, stop: threading.Event) -> None:
    failures = 0
    idle = (duty.idle or pace.idle).total_seconds()
    while not stop.is_set():
        try:
            busy = duty.step()
        except Exception as error:
            failures += 1
            stop.wait(_report(duty, pace, error, failures))
            continue
        if failures:
            _logger.warning("%s: works again after %d failures", duty.name, failures)
            failures = 0
        if not busy:
            stop.wait(idle)


def _report(duty: Duty, pace: Pace, error: Exception, failures: int) -> float:
    """Log a failure, loudly, and return for how many seconds to wait."""
    doubled: timedelta = pace.first_trouble * 2 ** min(failures - 1, 16)
    seconds = min(doubled, pace.longest_trouble).total_seconds()
    if isinstance(error, StoreUnavailable):
        _logger.error("%s: %s; next try in %.0f s", duty.name, error, seconds)
    else:
        # The text of an unforeseen exception may repeat personal data, so only its type and place are logged.
        _logger.critical("%s: failed with %s; next try in %.0f s", duty.name, type_and_place(error), seconds)
    return seconds


def _until_idle(duty: Duty) -> int:
    pieces = 0
    while duty.step():
        pieces += 1
    return pieces


def _telling(store: Store, channels: Sequence[Channel], owner: str, clock: Clock) -> Iterator[Duty]:
    if channels:
        yield Duty("notifications", Following(store, channels).run_once)
    for channel in channels:
        duty = Telling(store, channel, owner=owner, clock=clock)
        yield Duty(f"notifications to {channel.name}", duty.run_once)


def _signing(store: Store, pem: str, clock: Clock) -> Callable[[], bool]:
    # Imported here: only a deployment with a key needs cryptography.
    from paycordon.record.checkpoints import checkpoint, load_private_key

    key = load_private_key(pem)

    def step() -> bool:
        checkpoint(store, key, clock())
        return False  # one is enough: never sign again at once, however fast the log grows

    return step
