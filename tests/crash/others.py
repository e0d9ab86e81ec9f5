"""What others are told, and tips that others hand us, while everything is killed; `harness` drives it.

Two people agree to words about merchants that are held, and workers tell them: one recipient publishes a bundle, the
other is a receiver on loopback that outlives everything, fails at random, and writes down what reached it. When a hold
is released its words are taken back by themselves. Tips go their way step by step, with deadlines of seconds.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text
from standardwebhooks.webhooks import Webhook

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Indicator, Tlp
from paycordon.config import load_config
from paycordon.errors import Conflict, NotFound
from paycordon.events import Identifier
from paycordon.exchange.contract import Verb
from paycordon.exchange.drafts import Draft, DraftWords
from paycordon.exchange.referral import State as Stands
from paycordon.exchange.referral import Step
from paycordon.exchange.sharing import Exchange
from paycordon.feeds.bundle import BundleFeed
from paycordon.feeds.contract import Budget, Surroundings
from paycordon.people import Person, Role
from paycordon.plugins import load, open_exchange
from paycordon.record.restrictedcheck import verify as verify_restricted
from paycordon.review import contributing, proposals, referral_holds, referral_release, referring
from paycordon.review.contributing import Statement
from paycordon.review.proposals import Wish
from paycordon.review.referral_holds import Letter
from paycordon.review.referring import Doing, Practice
from paycordon.screening import utc_now
from paycordon.store import Store, contributions, holds, messages, referrals, schema
from paycordon.store import proposals as proposed
from paycordon.store.contributed import LIVE, State
from paycordon.store.messages import OPEN, MessageState
from paycordon.store.referrals import About
from paycordon.testing import Answer, Fault, FaultPlan, HttpSimulator, Request

if TYPE_CHECKING:
    from harness import Crash

SECRET = "whsec_" + base64.b64encode(b"crash harness, synthetic").decode()
ROLES = frozenset({Role.ANALYST, Role.APPROVER, Role.RESTRICTED})
ANA, BEN = Person("ana", ROLES), Person("ben", ROLES)
BUNDLE, MEMBER = "bundle", "member"


class _Unreliable(FaultPlan):
    """Fails every other request, and most of those after it took effect."""

    def take(self) -> Fault | None:
        super().take()
        effective = (Fault.ERROR_AFTER, Fault.TIMEOUT_AFTER)
        return random.choice([*Fault, *effective * 2]) if random.random() < 0.5 else None


class Receiver(HttpSimulator):
    """Another member: verifies what it gets, and writes each message down as it comes."""

    stall = 0.05  # then it hangs up

    def __init__(self, heard: Path) -> None:
        super().__init__()
        self.faults = _Unreliable()
        self._heard = heard

    def answer(self, request: Request) -> Answer:
        Webhook(SECRET).verify(request.body, dict(request.headers))
        line = {"path": request.path, "key": request.headers["webhook-id"], "body": json.loads(request.body)}
        with self._heard.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return Answer(204, None)

    def run(self) -> None:
        """Listen until the process is killed."""
        with self:
            threading.Event().wait()


@dataclass
class Others:
    """The members that are told, the people who agree, and whoever hands on tips."""

    run: Crash
    receiver: Receiver = field(init=False)
    agreed: dict[str, tuple[str, Verb]] = field(default_factory=dict)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.place = self.run.directory
        self.heard = self.place / "heard.jsonl"
        self.receiver = Receiver(self.heard)

    def configure(self) -> str:
        """Write what the recipients need, and return their part of the configuration."""
        self.heard.touch()
        (self.place / "post.key").write_text(SECRET)
        return f"""referrals:
  reminders: {{url: '{self.receiver.url}/restricted', secrets: ['file:post.key']}}
exchange:
  {BUNDLE}: {{format: bundle, to: public, publisher: publisher}}
  {MEMBER}: {{format: post, url: '{self.receiver.url}/exchange', secrets: ['file:post.key'], within: 60s}}
"""

    def open(self) -> None:
        """Make the recipients as a person's command would; before anything is forked."""
        self.config = load_config(self.run.path, os.environ)
        self.exchange: Exchange = open_exchange(self.config, load(self.config))
        self.practice = Practice.of(self.config)

    # --- what people do

    def cycle(self) -> None:
        """Let people do a little of everything."""
        chance = self.run.random.random
        with self.run.keeping_open():
            for _ in range(2):
                self.draft()
            if chance() < 0.3:
                self.correct()
            self.decide(share=0.6)
            if chance() < 0.7:
                self.receive([f"tip{next(self.run.numbers)}@shop.example"])
            for _ in range(2):
                self.proceed()

    def draft(self) -> None:
        """Draft a word about a merchant that is held and was seen; twice the same is one."""
        kept = self.run.random.choice((BUNDLE, MEMBER))
        item = {"kind": "email", "value": f"told{next(self.run.numbers)}@shop.example"}

        def drafted(connection: Any) -> None:
            seen = set(connection.execute(select(schema.merchants.c.merchant)).scalars())
            held = sorted({hold.merchant for hold in holds.listed(connection, limit=100_000)} & seen)
            if held:
                about = {"recipient": kept, "kind": "sighting", "merchant": self.run.random.choice(held)}
                wanted = Draft.model_validate({**about, "tlp": Tlp.GREEN, "items": [item]})
                contributing.draft(connection, self.exchange, wanted, self._wish(ANA), Statement(unseen="synthetic"))

        self._try(drafted)

    def correct(self) -> None:
        """Draft a correction of something that stands at a recipient."""
        item = {"kind": "email", "value": f"told{next(self.run.numbers)}@shop.example"}
        words = DraftWords.model_validate({"tlp": Tlp.GREEN, "items": [item]})

        def corrected(connection: Any) -> None:
            standing = contributions.listed(connection, states=[State.SENT])
            if standing:
                one, said = self.run.random.choice(standing).id, Statement(unseen="synthetic")
                contributing.correct(connection, self.exchange, one, words, self._wish(ANA), said)

        self._try(corrected)

    def decide(self, share: float) -> None:
        """Agree to some of what is proposed; now and then decline what a person has drafted."""
        waiting = self.run.write(lambda connection: list(proposed.listed(connection, utc_now())))
        for one in waiting:
            if self.run.random.random() >= share:
                continue
            if one.kind != "retraction" and self.run.random.random() < 0.15:
                self._try(lambda c, id_=one.id: proposals.decline(c, id_, self._wish(BEN)))
            else:
                self._try(lambda c, id_=one.id: proposals.agree(c, id_, self._wish(BEN)))
                self._note_agreed(one.subject_id)

    def _note_agreed(self, message_id: str) -> None:
        """Remember what two people were told is agreed to; it may never be lost from now on."""
        message = self.run.write(lambda connection: messages.get(connection, message_id))
        if message.agreed_by is not None:
            self.agreed[message.id] = (message.contribution or "", message.verb)

    def receive(self, values: list[str], kind: str = "email") -> str:
        """Take in a tip; returns its id."""
        digester = Digester({"k1": self.run.key.encode()}, "k1")
        reference, now = f"tip-{next(self.run.numbers)}", utc_now()
        named = {"kind": kind, "source": "hotline", "reference": reference, "status": "allegation", "confidence": 90}
        digests = [digester.digest(Identifier(kind=kind, value=value)) for value in values]
        known = tuple(Indicator(digest=digest, **named) for digest in digests)
        tip, doing = About("hotline", reference, now, "", "", (), known), self._doing(ANA)
        found = self.run.write(lambda connection: referring.receive(connection, tip, doing))
        self.steps.setdefault(found.id, [Step.RECEIVE])
        return str(found.id)

    def know(self, fingerprint: str) -> None:
        """Have somebody's bank account known by a tip that is offered to law enforcement and released by two people."""
        id_ = self.receive([fingerprint], "bank_account")
        self.used.add(id_)
        for step in (Step.OFFER, Step.PROPOSE, Step.RELEASE):
            self._step(id_, step)

    def proceed(self) -> None:
        """Do the next step of some tip."""
        open_ones = [id_ for id_ in self.steps if id_ not in self.used]
        if not open_ones:
            return
        id_ = self.run.random.choice(open_ones)
        state = self.run.write(lambda connection: referrals.get(connection, id_)).state
        ways: dict[Stands, tuple[Step, ...]] = {
            Stands.RECEIVED: (Step.OFFER, Step.OFFER, Step.OFFER, Step.CLOSE),
            Stands.WITH_LAW_ENFORCEMENT: (Step.HOLD, Step.PROPOSE, Step.UNDO, Step.CLOSE),
            Stands.HELD: (Step.HOLD, Step.PROPOSE, Step.UNDO),
            Stands.RELEASED: (Step.WITHDRAW, Step.CLOSE),
            Stands.CLOSED: (Step.FEED_BACK, Step.UNDO),
            Stands.WITHDRAWN: (Step.FEED_BACK,),
        }
        if state in ways:
            if self.steps[id_][-1] is Step.PROPOSE:
                self._step(id_, Step.RELEASE)
            else:
                self._step(id_, self.run.random.choice(ways[state]))

    def _step(self, id_: str, step: Step) -> None:
        """Do one step, again until it is known to be done, with the very same words."""
        by = BEN if step is Step.RELEASE else ANA
        doing = self._doing(by)
        until = doing.now + timedelta(seconds=self.run.random.uniform(0.2, 1.5))
        letter = Letter("police", f"letter-{next(self.run.numbers)}", until)

        def release(store: Store) -> object:
            return referral_release.release(store, id_, doing, freed=True)

        def withdraw(store: Store) -> object:
            return referral_release.withdraw(store, id_, doing)

        ways: dict[Step, Callable[[Any], object]] = {
            Step.OFFER: lambda c: referring.offer(c, id_, "police", doing, until=until),
            Step.HOLD: lambda c: referral_holds.hold(c, id_, letter, doing),
            Step.CLOSE: lambda c: referring.close(c, id_, doing),
            Step.UNDO: lambda c: referral_holds.undo(c, id_, doing),
            Step.FEED_BACK: lambda c: referral_release.feed_back(c, id_, "by letter", doing),
        }
        try:
            if step in (Step.PROPOSE, Step.RELEASE):
                self.run.insist(release)
            elif step is Step.WITHDRAW:
                self.run.insist(withdraw)
            else:
                self.run.write(ways[step])
        except Conflict:
            self.run.counts["steps refused"] += 1
            return
        self.steps[id_].append(step)
        self.run.counts["steps"] += 1

    def _doing(self, by: Person) -> Doing:
        return Doing(by, f"synthetic {next(self.run.numbers)}", utc_now(), self.practice)

    def _wish(self, by: Person) -> Wish:
        return Wish(by, "synthetic", utc_now(), os.urandom, exchange=lambda: self.exchange)

    def _try(self, what: Callable[[Any], object]) -> None:
        """Do something that may be done already, by a try whose answer was lost, or be overtaken."""
        try:
            self.run.write(what)
        except (Conflict, NotFound):
            self.run.counts["overtaken"] += 1

    # --- the end

    def finished(self) -> bool:
        """Agree to all that waits, and tell whether everything is told, taken back and reminded of."""

        def look(connection: Any) -> bool | None:
            if proposed.listed(connection, utc_now()):
                return None
            soon = utc_now() + timedelta(minutes=1)  # what would pass between this look and the last
            due = [each for each in referrals.listed(connection, everything=True, limit=100_000) if each.overdue(soon)]
            return not (
                messages.listed(connection, states=OPEN)
                or connection.execute(select(schema.reminders.c.id)).first()
                or any(_groundless(connection))
                or any(each.told < 2 for each in due)
            )

        done = self.run.write(look)
        if done is None:
            self.decide(share=1.0)
        return bool(done)

    def wrong(self, connection: Any, found: Counter[str]) -> None:
        """Count everything that must not be."""
        self._judge_words(connection, found)
        self._judge_member(connection, found)
        self._judge_bundle(connection, found)
        self._judge_tips(connection, found)
        self._judge_reminders(connection, found)
        found["restricted log broken"] = len(verify_restricted(connection, None)[1])

    def _judge_words(self, connection: Any, found: Counter[str]) -> None:
        """What two people agreed to was taken by its recipient, or fell with the hold; what fell is taken back."""
        lost = plain = 0
        for id_, (contribution, verb) in self.agreed.items():
            message = messages.get(connection, id_)
            standing = contributions.get(connection, contribution)
            fell = standing.state in (State.RETRACTED, State.DROPPED) and verb is not Verb.RETRACT
            lost += message.state is not MessageState.TAKEN and not fell
            plain += message.sealed is not None
        found["agreed words lost"], found["words left plain"] = lost, plain
        found["not taken back"] = sum(1 for _ in _groundless(connection))
        taken = messages.listed(connection, states=[MessageState.TAKEN], limit=1_000_000)
        found["told without two people"] = len({each.id for each in taken} - set(self.agreed))
        self.run.counts["words told"] = sum(each.verb is Verb.ADD for each in taken)
        self.run.counts["words corrected"] = sum(each.verb is Verb.CORRECT for each in taken)
        self.run.counts["words taken back"] = sum(each.verb is Verb.RETRACT for each in taken)

    def _judge_member(self, connection: Any, found: Counter[str]) -> None:
        """Compare the receiver's own record with what is stored."""
        lines = [each for each in map(json.loads, self.heard.read_text().splitlines()) if each["path"] == "/exchange"]
        first: dict[str, dict[str, Any]] = {}
        different = 0
        for each in lines:
            body = {name: value for name, value in each["body"].items() if name != "timestamp"}
            different += first.setdefault(each["key"], body) != body
        found["one key, two words"] = different
        verbs: Counter[tuple[str, int]] = Counter()
        newest: dict[str, tuple[int, bool]] = {}
        for body in first.values():
            said = body["data"]
            verbs[said["id"], said["revision"]] += 1
            found["told out of order"] += said["revision"] <= newest.get(said["id"], (0, True))[0]
            newest[said["id"]] = max(newest.get(said["id"], (0, True)), (said["revision"], _stands(body)))
        found["told twice"] = sum(number - 1 for number in verbs.values())
        there = {id_ for id_, (_, stands) in newest.items() if stands}
        here = {each.id for each in _told_to(connection, MEMBER)}
        found["stands there only"], found["stands here only"] = len(there - here), len(here - there)
        self.run.counts["heard"], self.run.counts["heard again"] = len(first), len(lines) - len(first)

    def _judge_bundle(self, connection: Any, found: Counter[str]) -> None:
        """Read the bundle as another member would, and compare it with what is stored."""
        told = Counter(_published(self.place) if (self.place / "public" / "metadata" / "1.root.json").exists() else ())
        here = {each.id for each in _told_to(connection, BUNDLE)}
        found["published twice"] = sum(number - 1 for number in told.values())
        found["published only"], found["not published"] = len(set(told) - here), len(here - set(told))

    def _judge_tips(self, connection: Any, found: Counter[str]) -> None:
        """Each step is there once and in its place, and each deadline that passed was told of once."""
        said = connection.execute(text("SELECT kind, payload FROM restricted_log WHERE kind LIKE 'referral.%'"))
        told = Counter((kind, *_deadline_of(json.loads(payload))) for kind, payload in said)
        now = utc_now()
        for id_, steps in self.steps.items():
            one = referrals.get(connection, id_)
            found["steps lost or doubled"] += [line.step for line in one.history] != steps
            set_to = Counter(_deadlines(one.history))
            for due_at, times in set_to.items():
                again = sum(max(0, told[kind, id_, due_at] - times) for kind in ("referral.warned", "referral.due"))
                found["deadlines told twice"] += again
            due = "" if one.due_at is None else one.due_at.isoformat()
            found["deadlines not told"] += one.overdue(now) and not told["referral.due", id_, due]
            counting = _indicators(connection, one.about.reference)
            stands = one.released_at is not None and not one.taken_back
            found["tips counted wrongly"] += counting != (len(one.about.indicators) if stands else 0)
        found["tips doubled"] = len(referrals.listed(connection, everything=True, limit=100_000)) - len(self.steps)
        self.run.counts["tips"] = len(self.steps)
        self.run.counts["deadlines told"] = sum(n for (kind, *_), n in told.items() if kind == "referral.due")

    def _judge_reminders(self, connection: Any, found: Counter[str]) -> None:
        """The role heard of each stage of each deadline once; what came again came under its key."""
        lines = [each for each in map(json.loads, self.heard.read_text().splitlines()) if each["path"] == "/restricted"]
        heard = Counter(body["data"]["stage"] for body in {each["key"]: each["body"] for each in lines}.values())
        kinds = Counter(connection.execute(text("SELECT kind FROM restricted_log")).scalars())
        for stage, kind in (("near", "referral.warned"), ("passed", "referral.due")):
            found["reminders lost"] += max(0, kinds[kind] - heard[stage])
            found["reminders doubled"] += max(0, heard[stage] - kinds[kind])
        self.run.counts["reminders"] = sum(heard.values())


def _stands(body: dict[str, Any]) -> bool:
    return bool(body["type"] != "contribution.retract")


def _groundless(connection: Any) -> Iterator[str]:
    """What still is told, or is about to be, of merchants whose hold was released."""
    for each in contributions.listed(connection, states=LIVE, limit=1_000_000):
        if each.hold is not None and not holds.get(connection, each.hold).active:
            yield each.id


def _told_to(connection: Any, recipient: str) -> Iterator[Any]:
    for each in contributions.listed(connection, states=[State.SENT, State.RETRACTING], limit=1_000_000):
        if each.recipient == recipient:
            yield each


def _published(place: Path) -> list[str]:
    shutil.copy(place / "public" / "metadata" / "1.root.json", place / "root.json")
    said = {"format": "bundle", "source": "public", "root": "root.json"}
    surroundings = Surroundings("coalition", Digester({"k1": b"k" * 32}, "k1"), place, utc_now)
    feed = BundleFeed(BundleFeed.settings_type.model_validate(said), surroundings)
    return [item.reference for batch in feed.fetch(None, Budget(feed.settings)) for item in batch.said]


def _deadline_of(entry: dict[str, Any]) -> tuple[str, str]:
    return entry.get("referral", ""), entry.get("due_at", "")


def _deadlines(history: Any) -> Iterator[str]:
    """Each deadline that was set, as often as it was."""
    before = None
    for line in history:
        if line.due_at != before and line.due_at is not None:
            yield line.due_at.isoformat()
        before = line.due_at


def _indicators(connection: Any, reference: str) -> int:
    table = schema.indicators
    where = (table.c.source == "hotline", table.c.reference == reference, table.c.withdrawn_at.is_(None))
    return len(connection.execute(select(table.c.digest).where(*where)).all())
