"""What becomes of holds that rest on something wrong: they are judged again, and people are told.

A page of decisions is judged and settled in one transaction, with a log entry: whoever is killed in between loses
nothing, and several workers settle each decision once. Nothing is released by default; the cases are opened again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from ruamel.yaml import YAML
from sqlalchemy import Connection

from paycordon.errors import Conflict, NotFound
from paycordon.ids import Randomness
from paycordon.policy import PolicySet
from paycordon.record.log import append, digest_of
from paycordon.review.proposals import Wish, release
from paycordon.review.rejudging import OfHold, Rejudged, judge, verdicts, worst
from paycordon.sections import Unsupported
from paycordon.store import Store, holds, policies, uses, withdrawals
from paycordon.store import rejudging as stored
from paycordon.store.proposals import Proposal
from paycordon.store.rejudging import Known, Recorded
from paycordon.store.withdrawals import Verdict, Withdrawal

_PAGE = 50


@dataclass(frozen=True, slots=True)
class _Judged:
    recorded: Recorded
    verdict: Verdict
    holds: Sequence[OfHold]


class Rejudging:
    """Judges the decisions of withdrawals again, a page at a time.

    Args:
        store: where they are.
        in_force: says which policies are in force now.
        unsupported: what is done with holds that nothing supports any more.
        clock: says what time it is, UTC.
        randomness: for the ids of cases.
    """

    def __init__(
        self,
        store: Store,
        in_force: Callable[[], PolicySet],
        *,
        unsupported: Unsupported = Unsupported.CASE,
        clock: Callable[[], datetime],
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._in_force = in_force
        self._unsupported = unsupported
        self._clock = clock
        self._randomness = randomness

    def step(self) -> bool:
        """Settle one page of decisions; false when there is nothing left to do.

        Raises:
            StoreUnavailable: the database cannot be used; what was settled is settled.
        """
        with self._store.read() as connection:
            withdrawal = withdrawals.unfinished(connection)
            page = stored.page(connection, withdrawal.id, _PAGE) if withdrawal else []
            known = stored.known(connection, page)
        if withdrawal is None:
            if not known.withdrawn_policies:
                return False
            with self._store.write() as connection:
                return withdrawals.find_late(connection, self._clock()) > 0
        in_force = self._in_force()
        judged = [_judge(in_force, each, known, withdrawal) for each in page]
        if self._unsupported is Unsupported.RELEASE:
            self._release(withdrawal, judged)
        with self._store.write() as connection:
            if not judged:
                withdrawals.finish(connection, withdrawal, self._clock())
                return True
            self._settle(connection, withdrawal, judged)
        return True

    def _release(self, withdrawal: Withdrawal, judged: Sequence[_Judged]) -> None:
        """Release what nothing supports, one transaction each, before it is settled: a crash in between repeats it."""
        for each in judged:
            two_people = {hold.id for hold in each.recorded.holds if hold.two_people}
            active = {hold.id for hold in each.recorded.holds if hold.active}
            for found in each.holds:
                if found.verdict is Verdict.UNSUPPORTED and found.hold in active - two_people:
                    self._release_one(found.hold, withdrawal)

    def _release_one(self, hold: str, withdrawal: Withdrawal) -> None:
        reason = f"no rule asks for it without what was withdrawn: {withdrawal.id}"
        try:
            with self._store.write() as connection:
                holds.release(connection, hold, by=stored.actor(withdrawal), reason=reason, now=self._clock())
        except Conflict:
            return  # a person was faster

    def _settle(self, connection: Connection, withdrawal: Withdrawal, judged: Sequence[_Judged]) -> None:
        now = self._clock()
        done: list[_Judged] = []
        for each in judged:
            row = {
                "withdrawal_id": withdrawal.id,
                "decision_id": each.recorded.decision_id,
                "verdict": each.verdict.value,
                "holds": json.dumps([asdict(hold) for hold in each.holds]),
            }
            if stored.settle(connection, row, now):
                done.append(each)
                if each.recorded.outcome != "allow":
                    self._tell(connection, withdrawal, each, now)
        if done:
            append(connection, now, "withdrawal.judged", _entry(withdrawal, done))

    def _tell(self, connection: Connection, withdrawal: Withdrawal, judged: _Judged, now: datetime) -> None:
        """Say it in the case of a decision: in the open one, in the one that is opened again, or in a new one."""
        recorded = judged.recorded
        urgent = judged.verdict in (Verdict.UNSUPPORTED, Verdict.UNCLEAR, Verdict.WEAKER)
        case = stored.case_for(
            connection, recorded, now, self._randomness, urgent=urgent, needed=judged.verdict is not Verdict.NOTHING
        )
        if case is not None:
            text = _NOTES[judged.verdict].format(withdrawal=withdrawal.id, what=withdrawals.describe(withdrawal))
            held = [asdict(each) for each in judged.holds]
            stored.note(connection, case, recorded.decision_id, withdrawal.withdrawn_by, text, held, now)


_NOTES: Mapping[Verdict, str] = {
    Verdict.NOTHING: "{what} was withdrawn or corrected ({withdrawal}); this decision holds nothing any more",
    Verdict.SUPPORTED: "{what} was withdrawn or corrected ({withdrawal}); its holds rest on other rules as well",
    Verdict.WEAKER: "{what} was withdrawn or corrected ({withdrawal}); rules now ask for less than what is in force",
    Verdict.UNCLEAR: "{what} was withdrawn or corrected ({withdrawal}); the rules could not be judged again",
    Verdict.UNSUPPORTED: "{what} was withdrawn or corrected ({withdrawal}); no rule asks for its holds any more: "
    "release them by `paycordon withdrawal release {withdrawal}`",
}


def _judge(in_force: PolicySet, recorded: Recorded, known: Known, withdrawal: Withdrawal) -> _Judged:
    """Judge one decision; what was released by this very withdrawal counts as in force still."""
    by_this = stored.actor(withdrawal)
    standing = [hold for hold in recorded.holds if hold.active or hold.released_by == by_this]
    if not standing:
        return _Judged(recorded, Verdict.NOTHING, [])
    found = verdicts(standing, _rejudged(in_force, recorded, known))
    return _Judged(recorded, worst(found), found)


def _rejudged(in_force: PolicySet, recorded: Recorded, known: Known) -> Rejudged:
    if recorded.event is None or recorded.decision is None:  # erased, or changed: verifying the log names that
        return Rejudged((), clear=False)
    return judge(in_force, recorded.event, recorded.decision, known)


def _entry(withdrawal: Withdrawal, done: Sequence[_Judged]) -> dict[str, str | int | list[str] | None]:
    said = [[each.recorded.decision_id, each.verdict.value, [asdict(hold) for hold in each.holds]] for each in done]
    counts = {verdict.value: sum(each.verdict is verdict for each in done) for verdict in Verdict}
    return {
        "withdrawal": withdrawal.id,
        "first": done[0].recorded.decision_id,
        "last": done[-1].recorded.decision_id,
        "verdicts_digest": digest_of(json.dumps(said, separators=(",", ":"))),
        **{name: number for name, number in counts.items() if number},
    }


def withdraw_policy(
    connection: Connection,
    digest: str,
    *,
    by: str,
    reason: str,
    now: datetime,
    randomness: Randomness = secrets.token_bytes,
) -> Withdrawal:
    """Withdraw a policy version that was wrong, and list the decisions that used it.

    Raises:
        NotFound: no policy file of that digest was ever in force.
        Conflict: it is in force still, or was withdrawn before.
    """
    versions = {each.digest: each for each in policy_versions(connection)}
    known = versions.get(digest)
    if known is None:
        raise NotFound(
            f"no policy version `{digest[:12]}` was ever in force; `paycordon withdrawal policies` lists them"
        )
    newest = policies.in_force(connection)
    if newest is not None and digest in {file.digest for file in newest.files}:
        raise Conflict(f"`{known.name}` version {known.version} is in force; replace it or roll back, then withdraw it")
    if digest in withdrawals.withdrawn_policies(connection):
        raise Conflict(f"`{known.name}` version {known.version} was withdrawn before")
    begun = withdrawals.begin(
        connection,
        uses.POLICY,
        digest,
        withdrawals.Change.WITHDRAWN,
        by=by,
        reason=reason,
        now=now,
        randomness=randomness,
        detail={"name": known.name, "version": known.version},
    )
    assert begun is not None  # noqa: S101  # only a correction of what nobody used begins nothing
    return begun


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy file that was in force: its name and version as it says, and the digest of its bytes."""

    name: str
    version: str
    digest: str


def policy_versions(connection: Connection) -> list[PolicyVersion]:
    """Return every policy version that was ever in force, in the order in which they came."""
    found: dict[str, PolicyVersion] = {}
    for taken in policies.history(connection):
        kept = policies.named(connection, taken.digest)
        paths = {file.path: file.digest for file in kept.files if file.part == "policies"}
        for path, content in policies.contents(connection, kept).items():
            if path in paths and paths[path] not in found:
                said = YAML(typ="safe", pure=True).load(content)
                found[paths[path]] = PolicyVersion(str(said.get("policy")), str(said.get("version")), paths[path])
    return list(found.values())


def release_unsupported(store: Store, withdrawal_id: str, wish: Wish) -> tuple[list[str], list[str]]:
    """Release every hold of a withdrawal that no rule asks for any more, or propose it where that takes two people.

    Each is done in a transaction of its own. Returns the holds that were released and the proposals that were made.

    Raises:
        Forbidden: the person may not.
        NotFound: there is no such withdrawal.
    """
    released, proposed = list[str](), list[str]()
    with store.read() as connection:
        withdrawals.get(connection, withdrawal_id)
        found = [
            each["hold"]
            for item in withdrawals.items(connection, withdrawal_id)
            for each in item.holds
            if each["verdict"] == Verdict.UNSUPPORTED
        ]
        standing = [id_ for id_ in found if holds.get(connection, id_).active]
    for id_ in standing:
        try:
            with store.write() as connection:
                done = release(connection, id_, wish)
        except Conflict:
            continue  # somebody was faster, or has proposed it already
        if isinstance(done, Proposal):
            proposed.append(done.id)
        else:
            released.append(id_)
    return released, proposed
