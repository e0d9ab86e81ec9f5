"""`paycordon referral`: from the file to the word to its source, by people of the role, and nothing for others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from paycordon.recognition import digest_of_token
from paycordon.store import Store

NOW = datetime.now(UTC)
UNTIL = f"{NOW + timedelta(days=30):%Y-%m-%d}"
LETTER = ("--agency", "Synthetic Bureau", "--reference", "LETTER-7", "--until", UNTIL)
TIP = {
    "source": "clearing house",
    "reference": "T-1",
    "category": "commercial",
    "confidence": 90,
    "status": "investigation",
    "identifiers": [{"kind": "email", "value": "seller1@shop.example"}],
    "merchants": ["m_1"],
}
ROLES = {"rhea": "restricted", "ross": "restricted, approver", "adam": "admin", "ana": "analyst"}


@pytest.fixture
def as_(cli, deployment: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a command as somebody, with a reason."""
    people = "".join(
        f"  {name}: {{token_sha256: {digest_of_token(f'pct_{name}')}, roles: [{roles}]}}\n"
        for name, roles in ROLES.items()
    )
    path = deployment / "paycordon.yaml"
    path.write_text(path.read_text() + f"people:\n{people}")

    def run(name: str, *arguments: str, stdin: str = "", reason: bool = True):
        monkeypatch.setenv("PAYCORDON_TOKEN", f"pct_{name}")
        why = ("--reason", "synthetic") if reason else ()
        return cli(*arguments, "--by", name, *why, stdin=stdin)

    return run


def received(as_, **changed: object) -> str:
    done = as_("rhea", "referral", "receive", "--json", stdin=json.dumps(TIP | changed))
    assert done.code == 0, done.err
    return str(done.json[0]["id"])


def test_without_any_it_says_what_to_do(as_) -> None:
    done = as_("rhea", "referral", "list", reason=False)
    assert done.code == 0
    assert "paycordon referral receive --help" in done.out


def test_a_tip_waits_for_law_enforcement_is_released_by_two_and_led_somewhere(cli, as_, make_event) -> None:
    def screened(number: int) -> str:
        return cli("screen", "--json", stdin=json.dumps(make_event(1, id=f"evt_{number}"))).json["outcome"]

    id_ = received(as_)
    assert screened(1) == "allow"
    assert as_("rhea", "referral", "offer", id_, "--to", "Synthetic Bureau").code == 0
    held = as_("rhea", "referral", "hold", id_, *LETTER)
    assert "m_1 is kept open" in held.out
    assert screened(2) == "allow"
    assert "say so if it has let go before" in as_("rhea", "referral", "release", id_).err

    first = as_("rhea", "referral", "release", id_, "--freed")
    assert (first.code, f"paycordon referral release {id_}" in first.out) == (1, True)
    assert "a second person" in as_("rhea", "referral", "list", reason=False).out
    assert as_("ross", "referral", "release", id_).code == 0
    assert screened(3) == "hold"
    assert as_("rhea", "referral", "acted", id_).code == 2
    (case,) = cli("case", "list", "--json").json
    assert as_("ana", "case", "uphold", case["id"]).code == 0
    assert "1 closed cases" in as_("rhea", "referral", "acted", id_).out
    shown = as_("rhea", "referral", "show", id_, "--json", reason=False).json
    assert (shown["seen"], [each["resolution"] for each in shown["outcome"]["cases"]]) == (["m_1"], ["uphold"])
    assert "uphold" in as_("rhea", "referral", "show", id_, reason=False).out

    assert as_("rhea", "referral", "fed-back", id_).code == 2
    done = as_("rhea", "referral", "fed-back", id_, "--worth", "useful")
    assert (done.code, "no recipient is the source `clearing house`" in done.err) == (2, True)
    assert as_("rhea", "referral", "fed-back", id_, "--told", "by telephone, to whom it may concern").code == 0
    assert as_("rhea", "referral", "list", "--json", reason=False).json == []
    (ended,) = as_("rhea", "referral", "list", "--all", "--json", reason=False).json
    assert [line["step"] for line in ended["history"]] == [
        *("receive", "offer", "hold", "propose", "release", "act", "feed_back")
    ]
    assert "paycordon withdrawal list" in as_("rhea", "referral", "withdraw", id_).out
    assert len(cli("withdrawal", "list", "--json").json) == 1
    assert as_("rhea", "directive", "verify", reason=False).code == 0
    assert cli("log", "verify").code == 0


def test_what_is_recorded_by_mistake_is_taken_back_and_what_leads_nowhere_closed(as_) -> None:
    id_ = received(as_)
    assert as_("rhea", "referral", "offer", id_, "--to", "Synthetic Bureau").code == 0
    assert "is `received`" in as_("rhea", "referral", "undo", id_).out
    assert "is `closed`" in as_("rhea", "referral", "close", id_).out


def test_a_deadline_that_has_passed_is_a_finding(as_, deployment: Path) -> None:
    received(as_)
    assert as_("rhea", "referral", "list", reason=False).code == 0
    store = Store.open(f"sqlite:///{deployment / 'paycordon.db'}")
    with store.write() as connection:
        connection.execute(text("UPDATE referrals SET due_at = 1"))
    store.close()
    done = as_("rhea", "referral", "list", reason=False)
    assert (done.code, "over for" in done.out) == (1, True)


UNUSABLE = (
    ("{", ":2:"),
    ({**TIP, "identifiers": [], "merchants": []}, ":2:1: names neither"),
    ({**TIP, "image": "x"}, ":2:1: `image`: extra inputs are not permitted"),
    ({**TIP, "note": "4111 1111 1111 1111"}, ":2:1: `note`: looks like a card number"),
    ({**TIP, "identifiers": [{"kind": "card", "value": "4111111111111111"}]}, ":2:1: identifier 1: looks like"),
    ({**TIP, "identifiers": [{"kind": "ip", "value": "10.0.0.0/2"}]}, ":2:1: identifier 1: `value` cannot"),
    ({**TIP, "identifiers": [{"kind": "email"}]}, ":2:1: has a `value` or a `digest`"),
    ({**TIP, "merchants": ["m_9"]}, ":2:1: `T-1` of `clearing house` is here"),
    ({**TIP, "source": "lantern"}, ":2:1: `lantern` is the name of a feed"),
)


def test_of_a_file_all_or_nothing_is_taken_in(as_, deployment: Path) -> None:
    path = deployment / "paycordon.yaml"
    path.write_text(path.read_text() + "feeds: {lantern: {format: csv}}\n")
    for line, said in UNUSABLE:
        second = line if isinstance(line, str) else json.dumps(line)
        (deployment / "tips.jsonl").write_text(f"{json.dumps(TIP)}\n{second}\n")
        done = as_("rhea", "referral", "receive", "tips.jsonl")
        assert (done.code, said in done.err, "4111" in done.err) == (2, True, False), done.err
    assert as_("rhea", "referral", "list", "--json", reason=False).json == []


STEPS = {
    "receive": (),
    "list": (),
    "show": ("{id}",),
    "offer": ("{id}", "--to", "a"),
    "hold": ("{id}", *LETTER),
    "release": ("{id}",),
    "acted": ("{id}",),
    "fed-back": ("{id}", "--told", "t"),
    "withdraw": ("{id}",),
    "close": ("{id}",),
    "undo": ("{id}",),
}


def test_nobody_else_learns_whether_there_is_one(as_) -> None:
    """Every command answers the same whether the referral is there or not."""
    there = received(as_)
    for command, arguments in STEPS.items():
        answers = set()
        for id_ in (there, "ref_unknown"):
            filled = [each.format(id=id_) for each in arguments]
            done = as_(
                "adam", "referral", command, *filled, stdin=json.dumps(TIP), reason=command not in ("list", "show")
            )
            answers.add((done.code, done.out, done.err))
        ((code, out, err),) = answers
        assert (code, out, "takes the role `restricted`" in err) == (2, "", True), command


def test_what_its_source_corrects_takes_the_place_of_what_it_said(as_) -> None:
    id_ = received(as_)
    other = json.dumps(TIP | {"merchants": ["m_2"]})
    again = as_("rhea", "referral", "receive", stdin=other)
    assert (again.code, "`paycordon referral correct`" in again.err) == (2, True)
    both = as_("rhea", "referral", "correct", stdin=f"{other}\n{other}")
    assert (both.code, "one tip is corrected at a time, and there are 2" in both.err) == (2, True)
    done = as_("rhea", "referral", "correct", stdin=other)
    assert (done.code, f"{id_} is corrected: it is `received`, due" in done.out) == (0, True)
    once_more = as_("rhea", "referral", "correct", stdin=other)
    assert (once_more.code, "says so already" in once_more.out) == (0, True)
    unknown = as_("rhea", "referral", "correct", stdin=json.dumps(TIP | {"reference": "T-9"}))
    assert (unknown.code, "there is no `T-9` of `clearing house`" in unknown.err) == (2, True)
    shown = as_("rhea", "referral", "show", id_, reason=False)
    assert "was 1 identifiers, 1 merchants" in shown.out
    assert "m_2" in shown.out
    refused = as_("adam", "referral", "correct", stdin=other)
    assert refused.code == 2
    assert as_("rhea", "directive", "verify", reason=False).code == 0
