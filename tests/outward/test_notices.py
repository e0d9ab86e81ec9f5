"""What merchants are told: in their language, complete, neutral whatever a hold rests on, once, and in time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paycordon.decisions import Outcome, Scope
from paycordon.errors import ConfigError, Conflict
from paycordon.outward.noticing import noticing
from paycordon.outward.notifying import Following, Telling
from paycordon.outward.wording import languages, statement, wording
from paycordon.policy.evaluate import NEUTRAL_REASON
from paycordon.screening import UNAVAILABLE_REASON
from paycordon.sections import NoticesSection
from paycordon.store import Store, holds, notices
from paycordon.store.clocks import listed as clocks_listed
from paycordon.store.holds import Hold, NewHold, Source
from paycordon.testing import NOON, FrozenClock

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "policies"


def hold(**values: object) -> Hold:
    given_ = {
        "id": "hold_1",
        "decision_id": "dec_1",
        "merchant": "m_1",
        "instance": "acme",
        "account": "a_1",
        "subject_kind": "payout",
        "subject_id": "po_1",
        "outcome": Outcome.HOLD,
        "rule": "p/r",
        "merchant_reason": NEUTRAL_REASON,
        "created_at": NOON,
        "released_at": None,
        "released_by": None,
        "release_reason": None,
        "source": Source.DECISION,
        "scope": Scope.PAYOUTS,
        "amount": None,
        "currency": None,
        "placed_by": None,
        "internal_reason": None,
        "two_people": False,
        **values,
    }
    return Hold(**given_)  # type: ignore[arg-type]


def test_every_language_says_everything() -> None:
    english = wording("en")
    assert len(languages()) == 8
    for language in languages():
        texts = wording(language)
        assert texts.reasons.keys() == english.reasons.keys()
        assert texts.sentences.keys() == english.sentences.keys()
        for scope in Scope:
            told = statement(hold(scope=scope), language, ground="4.2", contact="x@psp.example", review=NOON)
            assert "{" not in told.text
            assert all(part in told.text for part in ("4.2", "x@psp.example", "2026-03-02"))


def test_every_reason_of_the_shipped_policies_has_its_text() -> None:
    written = {
        line.partition("merchant_reason:")[2].strip(" }\n").partition("}")[0].partition("  #")[0].strip()
        for file in EXAMPLES.glob("*.yaml")
        for line in file.read_text().splitlines()
        if "merchant_reason:" in line and not file.name.endswith(".test.yaml")
    }
    assert written - {""} <= wording("en").reasons.keys()
    assert {NEUTRAL_REASON, UNAVAILABLE_REASON} <= wording("en").reasons.keys()


def test_an_unknown_reason_or_language_is_told_in_general_and_in_english() -> None:
    assert statement(hold(merchant_reason="own_code"), "xx").text == (
        "Payouts are on hold since 2026-03-02. We need some time to look at your account. "
        "This was decided by automated means."
    )


def test_what_a_machine_decided_is_said_and_of_people_and_authorities_nothing() -> None:
    assert "automated" in statement(hold(), "en").fields
    by_hand, by_order = (statement(hold(source=source), "en") for source in (Source.PERSON, Source.ORDER))
    assert by_hand == by_order
    assert "automated" not in by_hand.fields


_WORDS = st.text(st.characters(min_codepoint=0x400, max_codepoint=0x4FF), min_size=4, max_size=20)


@given(_WORDS, _WORDS, _WORDS, _WORDS, st.sampled_from(Scope), st.sampled_from(["en", "de", "pl"]))
def test_nothing_internal_gets_into_a_statement(
    rule: str, reason: str, merchant: str, code: str, scope: Scope, language: str
) -> None:
    secret = hold(
        rule=rule, internal_reason=reason, merchant=merchant, merchant_reason=code, scope=scope, subject_id=rule
    )
    told = statement(secret, language, ground="4.2", contact="x")
    said = " ".join((told.text, *told.fields.values()))
    assert not [word for word in (rule, reason, merchant, code, "hold_1", "dec_1") if word in said]


def test_a_deployment_says_it_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "de.yaml").write_text('reasons: {generic: "Einen Augenblick."}\n')
    assert statement(hold(merchant_reason="x"), "de-AT", own=tmp_path).text.split(". ")[1] == "Einen Augenblick"
    (tmp_path / "sv.yaml").write_text('reasons: {generic: "Ett ögonblick."}\n')
    with pytest.raises(ConfigError, match="leave out `payout`"):
        wording("sv", tmp_path)
    (tmp_path / "fr.yaml").write_text('reasons: {}\nsentences: {payouts: "Depuis {rule}"}\n')
    with pytest.raises(ConfigError, match="texts of `fr` use"):
        wording("fr", tmp_path)


def by_hand(**values: object) -> NewHold:
    given_ = {
        "merchant": "m_1",
        "instance": "acme",
        "account": "a",
        "subject_kind": "payout",
        "subject_id": "po",
        "outcome": Outcome.HOLD,
        "scope": Scope.PAYOUTS,
        "rule": "",
        "merchant_reason": NEUTRAL_REASON,
        "source": Source.PERSON,
        "placed_by": "ann",
        "internal_reason": "looks odd",
        **values,
    }
    return NewHold(**given_)  # type: ignore[arg-type]


def test_a_merchant_hears_once_what_several_holds_on_an_account_say(store: Store) -> None:
    clock = FrozenClock()
    channel = noticing(store, NoticesSection(), clock)
    Following(store, [channel]).run_once()

    def told_of(new: NewHold, number: int) -> int:
        with store.write() as connection:
            holds.place_by_hand(connection, new, NOON, lambda n: bytes([number]) * n)
        Following(store, [channel]).run_once()
        Telling(store, channel, owner="w", clock=clock).run_once()
        with store.read() as connection:
            return len(notices.listed(connection))

    assert told_of(by_hand(), 1) == 1
    assert told_of(by_hand(subject_id="po_2"), 2) == 1
    assert told_of(by_hand(merchant_reason=UNAVAILABLE_REASON), 3) == 2  # another reason
    assert told_of(by_hand(account="b"), 4) == 3  # another account
    assert told_of(by_hand(scope=Scope.PAYOUT, subject_id="po_3"), 5) == 4
    assert told_of(by_hand(scope=Scope.PAYOUT, subject_id="po_4"), 6) == 5  # another payout
    with store.write() as connection:
        for each in holds.listed(connection):
            holds.release(connection, each.id, by="ann", reason="seen", now=NOON)
    assert told_of(by_hand(), 7) == 6  # it had ended, and begins anew


def test_each_hold_gets_one_notice_with_a_deadline_until_it_was_sent(store: Store) -> None:
    clock = FrozenClock()
    channel = noticing(store, NoticesSection(language="de", contact="x@psp.example"), clock)
    Following(store, [channel]).run_once()
    wanted = by_hand()
    with store.write() as connection:
        holds.place_by_hand(connection, wanted, NOON, lambda n: bytes(n))
    for _ in range(2):
        Following(store, [channel]).run_once()
        Telling(store, channel, owner="w", clock=clock).run_once()
    with store.read() as connection:
        [notice] = notices.listed(connection)
        [deadline] = [each for each in clocks_listed(connection) if each.kind == "notice"]
    assert notice.text.startswith("Auszahlungen sind seit 2026-03-02 angehalten.")
    assert deadline.due_at == notice.due_at == NOON + timedelta(hours=24)
    with store.write() as connection:
        notices.sent(connection, notice.id, "ann", NOON)
    with store.write() as connection, pytest.raises(Conflict):
        notices.sent(connection, notice.id, "ann", NOON)
    with store.read() as connection:
        assert notices.listed(connection) == []
        assert [each for each in clocks_listed(connection) if each.kind == "notice"] == []
