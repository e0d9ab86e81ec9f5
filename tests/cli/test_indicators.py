from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from paycordon.coalition.indicators import Changes, Indicator
from paycordon.errors import ApprovalRequired
from paycordon.store import Store
from paycordon.store.feeding import apply_changes

ADD = ("indicator", "add", "--kind", "email", "--source", "IWF", "--reference", "case-7", "--confidence", "90")
ADD = (*ADD, "--status", "confirmed", "--by", "ada", "--reason", "IWF told us", "--value-file")
NAMED = ("--source", "IWF", "--reference", "case-7", "--by", "ada", "--reason", "taken back by the source")


def everything_stored(deployment: Path) -> str:
    stored = deployment.glob("paycordon.db*")
    return "".join(path.read_bytes().decode("latin-1").casefold() for path in stored)


def log_of(deployment: Path) -> list[tuple[str, dict[str, object]]]:
    store = Store.open(f"sqlite:///{deployment / 'paycordon.db'}")
    try:
        with store.read() as connection:
            rows = connection.exec_driver_sql("SELECT kind, payload FROM log ORDER BY seq").all()
    finally:
        store.close()
    return [(kind, json.loads(payload)) for kind, payload in rows]


def test_an_indicator_is_added_matched_withdrawn_and_matched_no_more(cli, known: str, make_event) -> None:
    assert cli("screen", stdin=json.dumps(make_event())).code == 1

    assert cli("indicator", "withdraw", *NAMED, "--digest", known).code == 0

    other_account = make_event(1, id="evt_8", account={"id": "acct_8"}, merchant={"id": "m_8"})
    decision = cli("screen", "--json", stdin=json.dumps(other_account)).json
    assert "indicator.match" not in {finding["code"] for finding in decision["findings"]}
    assert cli("indicator", "list", "--json").json == []
    (withdrawn,) = cli("indicator", "list", "--all", "--json").json
    assert withdrawn["withdrawn_at"] is not None


def test_only_digests_are_stored_and_each_change_is_logged(cli, deployment: Path) -> None:
    Path("values.txt").write_text("first@shop.example\n\n  Second@Shop.example \nsecond@shop.example\n")
    added = cli(*ADD, "values.txt", "--json")

    assert added.code == 0
    assert len(added.json) == 2
    for command in (("list",), ("list", "--json")):
        assert "shop.example" not in cli("indicator", *command).out
    assert "shop.example" not in everything_stored(deployment)
    assert cli("indicator", "withdraw", *NAMED, "--kind", "email", "--value-file", "values.txt").code == 0
    entries = log_of(deployment)
    assert [kind for kind, _ in entries] == ["indicator.added"] * 2 + ["indicator.withdrawn", "withdrawal.begun"] * 2
    of_indicators = [payload for kind, payload in entries if kind.startswith("indicator.")]
    assert {str(payload["digest"]) for payload in of_indicators} == {each["digest"] for each in added.json}
    assert all((payload["source"], payload["reference"]) == ("IWF", "case-7") for payload in of_indicators)
    assert cli("log", "verify").code == 0


def test_adding_again_replaces_and_revives(cli, known: str) -> None:
    assert cli("indicator", "withdraw", *NAMED, "--digest", known).code == 0
    changed = ("--confidence", "40", "--valid-until", "2030-01-31T00:00:00+01:00")
    assert cli(*ADD, "-", *changed, stdin="seller1@shop.example").code == 0

    (found,) = cli("indicator", "list", "--json").json
    assert (found["digest"], found["confidence"]) == (known, 40)
    assert found["valid_until"] == "2030-01-30T23:00:00Z"
    assert found["withdrawn_at"] is None


@pytest.mark.parametrize(
    ("stdin", "options", "told"),
    [
        ("good@shop.example\n4242424242424242\n", (), "<stdin>:2:1: looks like a card number"),
        ("good@shop.example\n" + "x" * 3_000, (), "<stdin>:2:1: the value is too long"),
        ("", (), "the input is empty"),
        (b"caf\xe9", (), "<stdin>:1:4: the input is not UTF-8"),
        ("good@shop.example", ("--valid-until", "tomorrow"), "`--valid-until`"),
        ("good@shop.example", ("--valid-until", "2030-01-31T00:00:00"), "`--valid-until`"),
        ("good@shop.example", ("--valid-from", "2031-01-01", "--valid-until", "2030-01-31"), "`--valid-until`"),
        ("good@shop.example", ("--first-seen", "2031-01-01", "--last-seen", "2030-01-31"), "`--last-seen`"),
        ("good@shop.example", ("--by", " "), "`--by`"),
        ("good@shop.example", ("--reason", " "), "`--reason`"),
        ("good@shop.example", ("--confidence", "101"), "--confidence"),
        ("good@shop.example", ("--source", " "), "`--source`"),
        ("good@shop.example", ("--kind", "E-Mail!"), "`--kind`"),
    ],
)
def test_bad_values_are_located_and_none_is_added(cli, deployment: Path, stdin, options, told: str) -> None:
    done = cli(*ADD, "-", *options, stdin=stdin)

    assert done.code == 2
    assert told in done.err
    assert "4242" not in done.err
    assert cli("indicator", "list", "--all", "--json").json == []


def test_every_field_of_an_indicator_can_be_said_and_is_kept(cli, deployment: Path) -> None:
    said = ("--valid-from", "2026-01-01", "--valid-until", "2100-01-01", "--first-seen", "2025-12-01T08:00:00Z")
    said = (*said, "--last-seen", "2026-02-01", "--half-life", "3650", "--tlp", "green", "--category", "c")
    assert cli(*ADD, "-", *said, "--licence", "CC0-1.0", "--reshare", stdin="first@shop.example").code == 0
    (found,) = cli("indicator", "list", "--json").json
    assert found.pop("comes_to") > 70, "90, of which not much is lost in ten years"
    assert found.pop("changed_at")
    assert found.pop("digest").startswith("k1:")
    assert found == {
        "kind": "email",
        "source": "IWF",
        "reference": "case-7",
        "confidence": 90,
        "status": "confirmed",
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2100-01-01T00:00:00Z",
        "withdrawn_at": None,
        "category": "c",
        "tlp": "green",
        "first_seen": "2025-12-01T08:00:00Z",
        "last_seen": "2026-02-01T00:00:00Z",
        "half_life_days": 3650,
        "licence": "CC0-1.0",
        "reshare": True,
        "changed_by": "ada",
    }
    (entry,) = [payload for kind, payload in log_of(deployment) if kind == "indicator.added"]
    assert (entry["by"], "IWF told us" in str(entry)) == ("ada", False)


def test_what_all_sources_say_of_a_value_is_weighed_together(cli, deployment: Path) -> None:
    with (deployment / "paycordon.yaml").open("a") as config:
        config.write("\nsources: {IWF: {trust: 50}}\n")
    assert cli(*ADD, "-", stdin="first@shop.example").code == 0
    other = ("--source", "other", "--reference", "r", "--by", "ada", "--reason", "told us", "--value-file", "-")
    domain = ("indicator", "add", "--kind", "domain", *other, "--confidence", "20", "--status", "allegation")
    assert cli(*domain, stdin="shop.example").code == 0
    refuting = ("indicator", "add", "--kind", "email", *other, "--confidence", "40", "--status", "refuted")
    assert cli(*refuting, stdin="first@shop.example").code == 0
    asked = ("indicator", "list", "--kind", "email", "--value-file", "-")
    found = cli(*asked, "--json", stdin="First@Shop.example").json
    weighed = {(each["source"], each["kind"]): each["comes_to"] for each in found}
    assert weighed == {("IWF", "email"): 27, ("other", "domain"): 20, ("other", "email"): 0}
    assert "comes to" in cli(*asked, stdin="First@Shop.example").out
    assert "no source says anything" in cli(*asked, stdin="nobody@else.example").out
    digest = next(each["digest"] for each in found if each["source"] == "IWF")
    assert len(cli("indicator", "list", "--digest", digest, "--json").json) == 2
    assert cli("indicator", "list", "--kind", "email").code == 2
    assert cli(*asked, "--digest", digest, stdin="First@Shop.example").code == 2


def test_after_the_key_was_replaced_a_value_is_added_and_withdrawn_under_both(
    cli, known: str, deployment: Path
) -> None:
    config = deployment / "paycordon.yaml"
    (deployment / ".paycordon" / "next.key").write_text("n" * 64)
    (deployment / ".paycordon" / "next.key").chmod(0o600)
    text = config.read_text()
    start = text.index("identifier_keys:")
    end = next(n for n in range(start + 1, len(text)) if text[n - 1] == "\n" and text[n] not in " #\n")
    keys = "{k2: file:.paycordon/next.key, k1: file:.paycordon/identifier.key}"
    config.write_text(f"{text[:start]}identifier_keys: {{current: k2, keys: {keys}}}\n{text[end:]}")

    values = {"stdin": "Seller1@Shop.example"}
    assert cli(*ADD, "-", **values).code == 0
    both = cli("indicator", "list", "--json").json
    assert sorted(each["digest"].partition(":")[0] for each in both) == ["k1", "k2"]
    done = cli("indicator", "withdraw", *NAMED, "--kind", "email", "--value-file", "-", "--json", **values)
    assert set(done.json["withdrawn"]) == {each["digest"] for each in both} > {known}
    assert cli("indicator", "list", "--json").json == []


def test_withdrawing_what_is_not_there_changes_nothing(cli, known: str) -> None:
    withdraw = ("indicator", "withdraw", *NAMED)
    values = "seller1@shop.example\nother@shop.example"
    done = cli(*withdraw, "--kind", "email", "--value-file", "-", stdin=values)

    assert done.code == 2
    assert "no indicator `case-7` of `IWF`" in done.err
    assert len(cli("indicator", "list", "--json").json) == 1
    assert cli(*withdraw).code == 2


def test_an_empty_list_says_what_to_do_next(cli, deployment: Path) -> None:
    assert "`paycordon indicator add --help`" in cli("indicator", "list").out


def test_a_kind_that_nobody_knows_is_taken_with_a_note(cli, deployment: Path) -> None:
    done = cli(*ADD, "-", "--kind", "emial", stdin="seller1@shop.example")

    assert done.code == 0
    assert "`emial` is no kind that this version knows" in done.err
    assert cli(*ADD, "-", stdin="seller1@shop.example").err == ""


def test_the_lookup_is_made_and_looked_at(cli, deployment: Path) -> None:
    Path("values.txt").write_text("first@shop.example\n")
    assert cli(*ADD, "values.txt").code == 0
    assert "no lookup" in cli("indicator", "lookup").out
    assert cli("indicator", "lookup", "--json").json["path"] is None
    config = deployment / "paycordon.yaml"
    config.write_text(config.read_text() + "\nindicators: {lookup: known.lookup}\n")
    missing = cli("indicator", "lookup")
    assert (missing.code, "the store is asked" in missing.out) == (1, True)
    made = cli("indicator", "lookup", "--build", "--json")
    assert (made.code, made.json["digests"], made.json["trouble"]) == (0, 1, None)
    assert "1 digests" in cli("indicator", "lookup").out


def test_a_batch_that_waits_is_shown_and_let_through(cli, deployment: Path) -> None:
    assert "no batch waits" in cli("indicator", "waiting").out
    store = Store.open(f"sqlite:///{deployment / 'paycordon.db'}")
    known = Indicator("email", "k1:" + "0" * 64, "IWF", "case-8", 90, "allegation")
    with store.write() as connection:
        sighting = (
            "INSERT INTO sightings (digest, merchant, kind, first_seen, last_seen) VALUES (:d, 'm', 'email', 1, 1)"
        )
        connection.execute(text(sighting), {"d": known.digest})
    with pytest.raises(ApprovalRequired) as refused:
        apply_changes(store, Changes("IWF", [known]), datetime.now(UTC), most_matches=0)
    assert "paycordon indicator waiting" in str(refused.value)
    (waits,) = cli("indicator", "waiting", "--json").json
    agreed = cli("indicator", "approve", waits["digest"], "--by", "ada", "--reason", "looked at it")
    assert agreed.code == 0
    assert "ada" in cli("indicator", "waiting").out
    assert apply_changes(store, Changes("IWF", [known]), datetime.now(UTC), most_matches=0).added == 1
    store.close()
    assert cli("log", "verify").code == 0


def test_values_that_are_nothing_of_their_kind_are_taken_with_a_note_and_ranges_in_parts(cli, deployment: Path) -> None:
    Path("values.txt").write_text("first@shop.example\nnobody\n")
    noted = cli(*ADD, "values.txt")
    assert (noted.code, "line 2" in noted.out + noted.err) == (0, True)
    Path("ips.txt").write_text("192.0.2.0/30\n")
    as_ip = tuple("ip" if word == "email" else word for word in ADD)
    more = ("--json", "--tlp", "green", "--category", "c", "--half-life", "90", "--licence", "CC0-1.0", "--reshare")
    added = cli(*as_ip, "ips.txt", *more)
    assert len(added.json) == 4
    kept = {(each["tlp"], each["half_life_days"], each["reshare"]) for each in added.json}
    assert kept == {("green", 90, True)}
    Path("ips.txt").write_text("192.0.2.0/30\n10.0.0.0/8\n")
    wide = cli(*as_ip, "ips.txt")
    assert (wide.code, "ips.txt:2" in wide.err, "wider than /16" in wide.err) == (2, True, True)


def test_what_very_many_share_is_listed_and_confirmed_by_two(cli, deployment: Path) -> None:
    assert "none;" in cli("indicator", "common").out
    Path("ibans.txt").write_text("GB82WEST12345698765432\n")
    as_iban = tuple("iban" if word == "email" else word for word in ADD)
    (known,) = cli(*as_iban, "ibans.txt", "--json").json
    confirm = ("indicator", "confirm", "--digest", known["digest"], "--reason", "they are one and the same")
    assert cli(*confirm, "--by", "ada", "--take-back").code == 2
    assert cli(*confirm, "--by", "ada").code == 1, "it waits for somebody else"
    (proposed,) = cli("proposal", "list", "--json").json
    assert cli("proposal", "agree", proposed["id"], "--by", "bob", "--reason", "so it is").code == 0
    assert [each["confirmed"] for each in cli("indicator", "common", "--json").json] == [True]
    assert cli(*confirm, "--by", "ada", "--take-back").code == 0
    assert "no" in cli("indicator", "common").out
    assert cli("log", "verify").code == 0
