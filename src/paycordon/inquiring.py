"""Ask lists of terminated merchants, take in what they say, and listen for what is listed later.

Never in a payment's path: an onboarding backend, a person or a worker asks. What a list says becomes indicators of the
list, by which policies judge; it is a lead, never a proof, and a person is told. When the list cannot be reached,
nothing is held for it: a policy that wants an answer first says so by the check `inquiry`.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from paycordon.cardnumbers import paths_of_card_numbers
from paycordon.coalition.indicators import Changes, Withdrawn
from paycordon.config import Config, load_config
from paycordon.errors import (
    ActionError,
    ApprovalRequired,
    ConfigError,
    Conflict,
    NotFound,
    Refused,
    StoreUnavailable,
    type_and_place,
)
from paycordon.exchange.asked import Asked, hit_of, indicators_of
from paycordon.exchange.contract import Party
from paycordon.exchange.inquiry import Inquiry, Match
from paycordon.ids import new_id
from paycordon.plugins import load, open_inquiries
from paycordon.screening import utc_now
from paycordon.store import Store, cases, inquiries
from paycordon.store import feeds as states
from paycordon.store.feeding import apply_changes
from paycordon.store.inquiries import Inquired, Other, Said

LONGEST_PAUSE = timedelta(hours=1)
_LEASE = timedelta(minutes=30)
_PATIENCE = 3
_logger = logging.getLogger("paycordon")


class Inquiries:
    """Asks the lists that are configured.

    Args:
        store: where inquiries and their answers are kept.
        lists: what is asked, by its name.
        most_matches: by name, how many merchants an answer may newly match before a person looks; 100 by default.
        clock: says what time it is, UTC.
    """

    def __init__(
        self,
        store: Store,
        lists: Mapping[str, Inquiry[Any]],
        *,
        most_matches: Mapping[str, int] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store, self._lists, self._clock = store, dict(lists), clock
        self._most = dict(most_matches or {})

    @classmethod
    def configured(cls, store: Store, config: Config) -> Self:
        """Return what asks the lists of a configuration.

        Raises:
            ConfigError: a list cannot be opened.
        """
        most = {name: source.most_new_matches for name, source in config.sources.items()}
        return cls(store, open_inquiries(config, load(config)), most_matches=most)

    @classmethod
    def from_config(cls, path: str | Path, environ: Mapping[str, str] = os.environ) -> Self:
        """Open the store and the lists that a configuration file names; `close` closes the store.

        Raises:
            ConfigError: the configuration is wrong.
            StoreUnavailable: the database cannot be reached.
        """
        config = load_config(Path(path), environ)
        return cls.configured(Store.open(config.store), config)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the lists."""
        return tuple(self._lists)

    def ask(self, merchant: str, party: Party, *, by: str, at: str | None = None) -> Inquired:
        """Ask a list whether a merchant was terminated, and take in what it answers.

        Asked twice, there are two inquiries there, and the newer answer counts: what it says no more of what it was
        asked about is taken back. The party's plain data are sent and not kept; the merchant is known from then on by
        their digests, so that what is listed, or told by a member under a shared key, meets it at its next event.

        Args:
            merchant: the facilitator's own id of the merchant, as its events will name it.
            party: who it is.
            by: who asks; kept.
            at: the name of the list; the only one by default.

        Raises:
            NotFound: there is no such list, or several and none is named.
            RetryLater: the list cannot be asked now; that there is no answer is kept.
            Refused: it does not take the question, or its answer cannot be taken; the same is kept. Or the party holds
                what looks like a card number, and nothing was asked.
            ApprovalRequired: the answer would match more merchants than it may; it is kept, and taken in once a person
                has agreed.
        """
        asks = self._list(at)
        _refuse_card_numbers(party)
        name, now = asks.here.name, self._clock()
        id_, asked = new_id("inq", now, secrets.token_bytes), Asked.of(party, asks.here.digester)
        shared = Asked.under_shared(party, asks.here.digester)
        with self._store.write() as connection:
            inquiries.begin(connection, id_, name, merchant, asked, by, now, now + asks.settings.keep, shared)
        try:
            answer = asks.ask(party, id_)
        except ActionError as error:
            with self._store.write() as connection:
                inquiries.fail(connection, id_, str(error))
            raise
        hits = [hit_of(match, asked, asks.here.digester) for match in answer.matches]
        with self._store.write() as connection:
            inquiries.answer(connection, id_, answer.reference, hits, self._clock())
        with suppress(Conflict):  # another answer about the merchant came in between; a worker begins again
            self.take_in(id_)
        with self._store.read() as connection:
            return inquiries.get(connection, id_)

    def take_in(self, id_: str) -> None:
        """Make indicators of what an inquiry was answered, and take back what earlier answers said otherwise.

        Twice is once: whoever dies in between is made up for by a worker, which begins again.

        Raises:
            NotFound: there is no such inquiry or list.
            ApprovalRequired: as `ask`.
            Conflict: another answer came in between; a worker begins again.
        """
        with self._store.read() as connection:
            found = inquiries.get(connection, id_)
            others = inquiries.others(connection, found)
        if found.state in (inquiries.ASKING, inquiries.DONE):
            return
        asks, now = self._list(found.service), self._clock()
        fresh = [hit for hit in found.matches if not hit.taken]
        refuted = _refuted(found, others)
        made = indicators_of(fresh, found.service, asks.settings.lasts, found.heard_at or now)
        said = [each for each in made if (each.digest, each.reference) not in refuted]
        stands = (found.said | {(each.digest, each.reference) for each in said}) - refuted
        # Who has just asked was told all; who is told of it later is told of additions only.
        gone = refuted | (_taken_back(found, stands, others) if found.state == inquiries.ANSWERED else frozenset())
        changes = Changes(found.service, said, [Withdrawn(*each) for each in sorted(gone)])
        apply_changes(self._store, changes, now, most_matches=self._most.get(found.service, 100))
        with self._store.write() as connection:
            if inquiries.others(connection, found) != others:
                raise Conflict(f"another answer about the same merchant came before that of `{id_}` was taken in")
            inquiries.take(connection, found, stands)
            for other in others:
                if other.said & gone:
                    inquiries.keep(connection, other.id, other.said - gone)
            if fresh:
                text = f"the list `{found.service}` may name this merchant ({len(found.matches)} possible matches)"
                cases.put_before_person(
                    connection, found.merchant, now, "inquiry", f"{text}: paycordon inquiry show {id_}"
                )

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _list(self, at: str | None) -> Inquiry[Any]:
        known = ", ".join(f"`{name}`" for name in self._lists)
        if at is None and len(self._lists) == 1:
            return next(iter(self._lists.values()))
        if at is None or at not in self._lists:
            there = f"configured: {known}" if known else "`inquiries: {NAME: {format: match, …}}` adds one"
            raise NotFound(f"{'name a list' if at is None else f'there is no list `{at}`'}; {there}")
        return self._lists[at]


class Watching:
    """Listens for what one list says later, whenever it is due, under a lease: one worker at a time.

    Args:
        store: where inquiries are kept.
        lists: all lists, among them this one.
        name: of the list.
        owner: a name that no other worker has.
        clock: says what time it is, UTC.
    """

    def __init__(
        self,
        store: Store,
        lists: Mapping[str, Inquiry[Any]],
        name: str,
        *,
        owner: str,
        most_matches: Mapping[str, int] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store, self._asks, self._owner, self._clock = store, lists[name], owner, clock
        self._inquiries = Inquiries(store, lists, most_matches=most_matches, clock=clock)
        self._name, self._state = name, inquiries.watch_of(name)

    def run_once(self) -> bool:
        """Listen if it is due; tells whether anything new was taken in.

        Raises:
            StoreUnavailable: the store cannot be used; it is due again when its lease has ended.
        """
        with self._store.read() as connection:
            if states.is_waiting(connection, self._state, self._clock()):
                return False
        with self._store.write() as connection:
            if not states.claim(connection, self._state, self._owner, self._clock(), _LEASE, early=False):
                return False
        new, trouble = 0, None
        try:
            new = self._listen()
        except StoreUnavailable:
            raise
        except Exception as error:
            trouble = _trouble(error)
            _logger.warning("%s: %s: %s", self._state, *trouble)
        self._end(trouble)
        return new > 0

    def _listen(self) -> int:
        """Store all that is said first: what then cannot be taken in keeps nobody from hearing of the rest."""
        with self._store.read() as connection:
            watched = inquiries.watched(connection, self._name, self._clock())
        trouble: Exception | None = None
        try:
            for answer in self._asks.later(watched.keys()) if watched else ():
                self._hear(watched[answer.reference], answer.matches)
        except ActionError as error:
            trouble = error
        new = 0
        with self._store.read() as connection:
            left = [found.id for found in inquiries.pending(connection, self._name)]
        for id_ in left:
            try:
                self._inquiries.take_in(id_)
                new += 1
            except (ApprovalRequired, Conflict) as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return new

    def _hear(self, id_: str, matches: Sequence[Match]) -> None:
        with self._store.write() as connection:
            states.keep(connection, self._state, self._owner, self._clock(), _LEASE)
            found = inquiries.get(connection, id_)
            hits = [hit_of(match, found.asked, self._asks.here.digester) for match in matches]
            inquiries.hear(connection, found, hits, self._clock())

    def _end(self, trouble: tuple[str, str] | None) -> None:
        now, every = self._clock(), self._asks.settings.every
        with self._store.write() as connection:
            pause = every
            if trouble is not None:
                failed, _ = states.failures(connection, self._state)
                pause = min(every, timedelta(minutes=1) * 2 ** min(failed, 12), LONGEST_PAUSE)
            if states.end(connection, self._state, self._owner, now, now + pause, trouble):
                states.tell(connection, self._state, trouble, now, patience=_PATIENCE)


def _refuse_card_numbers(party: Party) -> None:
    """Refuse a party that holds what may be a card number; telephone numbers are told from those by their field."""
    said = party.model_dump(mode="json", exclude={"phone": True, "principals": {"__all__": {"phone"}}})
    for path in paths_of_card_numbers(said):
        raise Refused(f"`{path}` looks like a card number, which is never taken")


def _taken_back(found: Inquired, stands: Set[Said], others: Sequence[Other]) -> frozenset[Said]:
    """Return what earlier answers said of what was asked about now, and this one does not."""
    asked = {digest for _, digest in found.asked.names}
    said = {each for other in others if other.id < found.id for each in other.said}
    return frozenset(each for each in said - stands if each[0] in asked)


def _refuted(found: Inquired, others: Sequence[Other]) -> frozenset[Said]:
    """Return what this answer says of what a newer inquiry asked about as well, and was not told."""
    newer = [other for other in others if other.id > found.id]
    said = {each for other in newer for each in other.said}
    asked = {digest for other in newer for digest in other.asked}
    made = {(digest, hit.listing) for hit in found.matches for _, digest, _ in hit.names}
    return frozenset(each for each in made - said if each[0] in asked)


def _trouble(error: Exception) -> tuple[str, str]:
    if isinstance(error, ApprovalRequired):
        return states.WAITING, str(error)
    if isinstance(error, ActionError | NotFound | Conflict | ConfigError):
        return "failed", str(error)
    # The text of an unforeseen exception may repeat a value.
    return "failed", f"it failed with {type_and_place(error)}"
