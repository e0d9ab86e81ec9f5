"""The conformance kit of recipients: one class to subclass; it says what must hold of every format.

It tells a recipient things, again and again under the same key, as a worker does that died before it had noted the
answer; lets requests fail in every way; and asks each time what stands there now. Nothing may stand there twice, no
error may say that nothing happened where something did, and none may repeat what is personal.
"""

# ruff: noqa: S101 - these are tests, and their assertions are rewritten by pytest

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from paycordon.coalition.identifiers import Digester
from paycordon.coalition.indicators import Tlp
from paycordon.errors import ActionError, OutcomeUnknown, Refused, RetryLater
from paycordon.exchange.contract import (
    Contribution,
    ContributionKind,
    Here,
    Outgoing,
    Receipt,
    Recipient,
    RecipientSettings,
    Verb,
    Worth,
)
from paycordon.feeds.items import Item
from paycordon.testing.clock import FrozenClock
from paycordon.testing.faults import Fault
from paycordon.testing.simulator import Answer, HttpSimulator

_DIGESTER = Digester({"k1": b"k" * 32}, "k1")
_MAIL = "ada.lovelace@shop.example"
_NONSENSE: Mapping[str, Answer] = {
    "no JSON": Answer(200, "<html>ada</html>"),
    "another shape": Answer(200, [[None, {"id": []}], 7]),
    "an empty body": Answer(200, None),
    "very deep": Answer(200, "[" * 50_000),
    "very long": Answer(200, '"' + "a" * 5_000_000),
    "a redirect": Answer(302, None, {"location": "http://127.0.0.1:9/elsewhere"}),
    "words of an error": Answer(400, {"error": _MAIL}),
}


class RecipientHarness(ABC):
    """What the kit needs to know of a format.

    Attributes:
        kind: the format.
        simulator: what the recipient talks to over HTTP, running; none if it does not. The recipient's own time-out has
            to be shorter than its `stall`.
        secrets: what must be in no text, such as keys.
    """

    kind: type[Recipient[Any]]
    simulator: HttpSimulator | None = None
    secrets: Sequence[str] = ()

    @abstractmethod
    def settings(self, place: Path) -> Mapping[str, Any]:
        """Return the settings of a recipient, without `format`; files may lie in `place`."""

    @abstractmethod
    def there(self) -> Mapping[str, int]:
        """Return what stands at the recipient: by our id, how many times, or 0 where it was taken back."""

    def content(self, kind: ContributionKind) -> Contribution:
        """Return an example that the recipient takes."""
        item = Item(kind="email", value=_MAIL, reference="synthetic", confidence=90, tlp=Tlp.GREEN)
        if kind is ContributionKind.RELAY:
            passed_on = item.model_copy(update={"licence": "CC-BY-4.0", "reshare": True})
            return Contribution(kind=kind, items=(passed_on,), origin="elsewhere")
        return Contribution(kind=kind, items=(item,), reason="match:13")

    def corrected(self, content: Contribution) -> Contribution:
        """Return another example, which corrects the first."""
        items = tuple(item.model_copy(update={"confidence": 40}) for item in content.items)
        return content.model_copy(update={"items": items})

    def judged(self) -> Sequence[str]:
        """Return the worth of each feedback that was taken."""
        return ()

    def personal(self) -> Sequence[str]:
        """Return what is personal in the examples, and must be in no text."""
        return (_MAIL, "Lovelace", "lovelace")

    def close(self) -> None:  # noqa: B027  # some have nothing to stop
        """Stop whatever was started."""


class Told:
    """A harness with recipients on it, each as a process of its own would make it."""

    def __init__(self, harness: RecipientHarness, place: Path) -> None:
        self.harness, self.clock = harness, FrozenClock(datetime.now(UTC))
        self._place = place

    def recipient(self) -> Recipient[Any]:
        """Return a recipient that knows nothing of those before it."""
        kind = self.harness.kind
        raw = {"format": kind.format, **self.harness.settings(self._place)}
        settings = kind.settings_type.model_validate(raw)
        return kind(settings, Here("coalition", _DIGESTER, self._place, self.clock))

    def send(self, message: Outgoing) -> Receipt:
        """Send as a fresh process would; whatever is raised is examined for words that must not be there."""
        try:
            receipt = self.recipient().send(message)
        except ActionError as error:
            self.require_silent(f"{error!r} {error} {error.__cause__!r}")
            quoted = error.__context__ is not None and not error.__suppress_context__
            if quoted:
                pytest.fail("raise it `from None`: the cause may quote what was sent")
            raise
        assert receipt.theirs, "a receipt says how the recipient calls it"
        self.require_silent(repr(receipt))
        return receipt

    def require_silent(self, text: str) -> None:
        """Require that a text holds nothing personal and no secret."""
        for word in (*self.harness.personal(), *self.harness.secrets):
            assert word not in text, "a text repeats what is personal or secret"

    def stands(self, id_: str) -> int:
        """How many times something stands at the recipient."""
        return self.harness.there().get(id_, 0)


def _kinds(subject: Told) -> list[ContributionKind]:
    return sorted(subject.harness.kind.kinds)


class RecipientConformance(ABC):
    """Subclass it in a test module and return your harness; pytest then runs everything below."""

    @abstractmethod
    def harness(self) -> RecipientHarness:
        """Return a new harness."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Iterator[Told]:
        """A harness and recipients on it."""
        harness = self.harness()
        try:
            yield Told(harness, tmp_path)
        finally:
            harness.close()

    def add(self, subject: Told, id_: str = "ctr_1", kind: ContributionKind | None = None) -> Outgoing:
        """Return the message that tells an example."""
        content = subject.harness.content(kind or _kinds(subject)[0])
        return Outgoing(f"paycordon-add-{id_}", Verb.ADD, id_, content=content)

    def test_the_class_says_what_it_is(self, subject: Told) -> None:
        """Format, sentence, settings, verbs and kinds are there and fit the contract."""
        kind = subject.harness.kind
        assert re.fullmatch(r"[a-z][a-z0-9_]*", kind.format)
        assert kind.about
        assert issubclass(kind.settings_type, RecipientSettings)
        assert kind.verbs <= frozenset(Verb)
        assert kind.verbs
        assert kind.kinds <= frozenset(ContributionKind)
        assert bool(kind.kinds) == (Verb.ADD in kind.verbs)

    def test_what_is_told_stands_there_once(self, subject: Told) -> None:
        """Each kind is taken, also when it comes again, by whichever process."""
        for kind in _kinds(subject):
            message = self.add(subject, f"ctr_{kind}", kind)
            subject.recipient().check(subject.harness.content(kind))
            first = subject.send(message)
            assert subject.stands(message.id) == 1
            again = subject.send(message)
            assert again.theirs == first.theirs
            assert subject.stands(message.id) == 1

    def test_others_stay_as_they_are(self, subject: Told) -> None:
        """What is told of one leaves the other alone."""
        if Verb.ADD not in subject.harness.kind.verbs:
            pytest.skip("it is told nothing")
        one, other = self.add(subject, "ctr_1"), self.add(subject, "ctr_2")
        subject.send(one)
        theirs = subject.send(other).theirs
        if Verb.RETRACT in subject.harness.kind.verbs:
            subject.send(Outgoing("paycordon-r", Verb.RETRACT, "ctr_2", 2, theirs=theirs))
            assert subject.stands("ctr_2") == 0
        assert subject.stands("ctr_1") == 1

    def test_a_correction_takes_the_place(self, subject: Told) -> None:
        """A correction is there once, and so is what it corrects: as one."""
        if Verb.CORRECT not in subject.harness.kind.verbs:
            pytest.skip("it cannot be corrected; its `verbs` say so")
        first = self.add(subject)
        theirs = subject.send(first).theirs
        assert first.content is not None
        content = subject.harness.corrected(first.content)
        message = Outgoing("paycordon-c", Verb.CORRECT, first.id, 2, content=content, theirs=theirs)
        for _ in range(2):
            subject.send(message)
            assert subject.stands(first.id) == 1

    def test_an_objection_is_told_without_saying_all_again(self, subject: Told) -> None:
        """A correction without items or party leaves them as they were, or is refused; it never takes them away."""
        if Verb.CORRECT not in subject.harness.kind.verbs:
            pytest.skip("it cannot be corrected; its `verbs` say so")
        first = self.add(subject)
        theirs = subject.send(first).theirs
        assert first.content is not None
        content = Contribution(kind=first.content.kind, reason=first.content.reason, appeal="appeal-7")
        with suppress(Refused):
            subject.send(Outgoing("paycordon-a", Verb.CORRECT, first.id, 2, content=content, theirs=theirs))
        assert subject.stands(first.id) == 1

    def test_what_is_taken_back_is_gone_and_stays_gone(self, subject: Told) -> None:
        """A retraction that comes again finds it gone, and what comes late does not bring it back."""
        if Verb.RETRACT not in subject.harness.kind.verbs:
            pytest.skip("it cannot be retracted; its `verbs` say so")
        first = self.add(subject)
        theirs = subject.send(first).theirs
        message = Outgoing("paycordon-r", Verb.RETRACT, first.id, 2, theirs=theirs)
        for _ in range(2):
            subject.send(message)
            assert subject.stands(first.id) == 0
        subject.send(first)  # the same key as before: it was taken, and that is all
        assert subject.stands(first.id) == 0

    def test_what_may_have_been_taken_is_found_by_our_id_or_refused(self, subject: Told) -> None:
        """Without its name there, a retraction takes back exactly ours, or leaves it to a person."""
        if Verb.RETRACT not in subject.harness.kind.verbs:
            pytest.skip("it cannot be retracted; its `verbs` say so")
        subject.send(self.add(subject, "ctr_1"))
        subject.send(self.add(subject, "ctr_2"))
        try:
            subject.send(Outgoing("paycordon-r", Verb.RETRACT, "ctr_2", 2))
        except Refused:
            assert subject.stands("ctr_2") == 1
        else:
            assert subject.stands("ctr_2") == 0
        assert subject.stands("ctr_1") == 1

    def test_feedback_counts_once(self, subject: Told) -> None:
        """What people made of an indicator is told once, however often it comes."""
        if Verb.FEEDBACK not in subject.harness.kind.verbs:
            pytest.skip("it takes no feedback; its `verbs` say so")
        for number, worth in enumerate(Worth, start=1):
            message = Outgoing(f"paycordon-f-{worth}", Verb.FEEDBACK, f"fb_{worth}", theirs="700", worth=worth)
            for _ in range(2):
                subject.send(message)
            assert len(subject.harness.judged()) == number

    def test_what_it_cannot_be_told_it_refuses(self, subject: Told) -> None:
        """A verb that is not among `verbs` is refused, and changes nothing."""
        kind = subject.harness.kind
        if Verb.ADD in kind.verbs:
            subject.send(self.add(subject))
        before = dict(subject.harness.there())
        example = subject.harness.content(_kinds(subject)[0]) if kind.kinds else None
        for verb in sorted(set(Verb) - kind.verbs):
            worth = Worth.USEFUL if verb is Verb.FEEDBACK else None
            content = None if verb in (Verb.RETRACT, Verb.FEEDBACK) else example
            with pytest.raises(Refused):
                subject.send(Outgoing(f"paycordon-{verb}", verb, "ctr_1", 2, content, "700", worth))
        assert dict(subject.harness.there()) == before

    @pytest.mark.parametrize("fault", list(Fault))
    def test_a_failed_request_is_made_up_for(self, subject: Told, fault: Fault) -> None:
        """Whichever request fails, and however: the error is true, and the next try makes it good, once."""
        simulator = subject.harness.simulator
        if simulator is None:
            pytest.skip("it talks to nobody")
        for number, message in enumerate(self._messages(subject)):
            before = simulator.faults.requests
            subject.send(message)
            needed = simulator.faults.requests - before
            for after in range(needed):
                self._fail_once(subject, simulator, fault, after, f"{number}{after}")

    def _messages(self, subject: Told) -> Iterator[Outgoing]:
        if Verb.ADD in subject.harness.kind.verbs:
            yield self.add(subject, "ctr_probe")
        elif Verb.FEEDBACK in subject.harness.kind.verbs:
            yield Outgoing("paycordon-probe", Verb.FEEDBACK, "fb_probe", theirs="700", worth=Worth.USEFUL)

    def _fail_once(self, subject: Told, simulator: HttpSimulator, fault: Fault, after: int, name: str) -> None:
        adds = Verb.ADD in subject.harness.kind.verbs
        message = self.add(subject, f"ctr_{name}") if adds else next(self._messages(subject))
        message = message if adds else replace(message, key=f"paycordon-{name}", id=f"fb_{name}")
        judged = len(subject.harness.judged())
        simulator.faults.add(fault, after)
        try:
            subject.send(message)
        except RetryLater:
            assert subject.stands(message.id) == 0, "`RetryLater` says that it was not taken, and it was"
            assert len(subject.harness.judged()) == judged, "`RetryLater` says that it was not taken, and it was"
        except OutcomeUnknown:
            assert fault is not Fault.RATE_LIMITED, "who asks to wait has not taken it"
        simulator.faults.clear()
        subject.send(message)
        if adds:
            assert subject.stands(message.id) == 1
        else:
            assert len(subject.harness.judged()) == judged + 1

    @pytest.mark.parametrize("status", [400, 403, 422])
    def test_a_refusal_is_put_before_a_person(self, subject: Told, status: int) -> None:
        """A recipient that says no is not asked again."""
        simulator = subject.harness.simulator
        if simulator is None:
            pytest.skip("it talks to nobody")
        for message in self._messages(subject):
            simulator.instead.append(Answer(status, {"error": _MAIL}))
            with pytest.raises(Refused):
                subject.send(message)
            simulator.instead.clear()

    @pytest.mark.parametrize("status", [429, 503])
    def test_who_asks_to_wait_is_given_time(self, subject: Told, status: int) -> None:
        """`Retry-After` is kept to."""
        simulator = subject.harness.simulator
        if simulator is None:
            pytest.skip("it talks to nobody")
        for message in self._messages(subject):
            simulator.instead.append(Answer(status, None, {"retry-after": "120"}))
            with pytest.raises((RetryLater, OutcomeUnknown)) as raised:
                subject.send(message)
            simulator.instead.clear()
            if status == 429:
                assert isinstance(raised.value, RetryLater)
            if isinstance(raised.value, RetryLater):
                assert raised.value.after == timedelta(seconds=120)

    @pytest.mark.parametrize("what", list(_NONSENSE))
    def test_a_hostile_answer_does_no_harm(self, subject: Told, what: str) -> None:
        """Whatever is answered, it is a receipt or a declared error, and nothing else."""
        simulator = subject.harness.simulator
        if simulator is None:
            pytest.skip("it talks to nobody")
        for message in self._messages(subject):
            simulator.instead.append(_NONSENSE[what])
            with suppress(ActionError):
                subject.send(message)
            simulator.instead.clear()

    def test_no_text_repeats_what_is_personal_or_secret(self, subject: Told) -> None:
        """Neither a recipient nor its settings nor a message shows what it holds."""
        recipient = subject.recipient()
        subject.require_silent(f"{recipient!r} {recipient.settings!r}")
        if Verb.ADD in subject.harness.kind.verbs:
            subject.require_silent(repr(self.add(subject)))

    def test_it_keeps_up_what_others_read(self, subject: Told) -> None:
        """Upkeep may come at any time, and changes nothing of what stands there."""
        subject.recipient().tend()
        if Verb.ADD in subject.harness.kind.verbs:
            subject.send(self.add(subject))
        before = dict(subject.harness.there())
        for _ in range(2):
            subject.clock.advance(timedelta(hours=13))
            subject.recipient().tend()
        assert dict(subject.harness.there()) == before
