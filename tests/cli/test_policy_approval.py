from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from paycordon.rollback import MARKER

RULE = """\
policy: guard
version: 1
on_error: review
child_protection: true
rules:
  - id: first
    on: [merchant.onboarding]
    when: event.merchant.mcc == "5967"
    then: hold
    merchant_reason: additional_information_required
"""
LOOSER = RULE.replace("then: hold", "then: review")
STRICTER = RULE.replace("then: hold", "then: block")


@pytest.fixture
def place(cli, deployment: Path) -> Path:
    """A deployment that demands the signatures of Alice and Bob, and judges by one policy."""
    for name in ("alice", "bob"):
        assert cli("policy", "keygen", name).code == 0
    config = deployment / "paycordon.yaml"
    signers = "{alice: file:alice.pub.pem, bob: file:bob.pub.pem}"
    config.write_text(config.read_text() + f"\napprovals:\n  required: true\n  signers: {signers}\n")
    (deployment / "policies" / "starter.yaml").unlink()
    (deployment / "policies" / "guard.yaml").write_text(RULE)
    return deployment


def key(name: str) -> tuple[str, ...]:
    return "--as", name, "--key", f"file:{name}.pem"


def sign(cli, name: str = "alice"):
    return cli("policy", "sign", *key(name), "--json")


def approve(cli, name: str = "bob"):
    return cli("policy", "approve", *key(name), "--yes", "--json")


@pytest.fixture
def running(cli, place: Path) -> str:
    """The same, signed by both and in force; returns the digest."""
    sign(cli)
    digest = str(approve(cli).json["digest"])
    assert cli("work", "--once").code == 0
    return digest


def change(place: Path, text: str) -> None:
    (place / "policies" / "guard.yaml").write_text(text)


def in_force(cli) -> str:
    return next(str(each["digest"]) for each in cli("policy", "history", "--json").json if each["in_force"])


def test_a_key_is_made_for_one_pair_of_eyes_and_never_replaced(cli, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("policy", "keygen", "carol")
    assert done.code == 0
    assert "carol: file:carol.pub.pem" in done.out
    private = Path("carol.pem")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    assert cli("policy", "keygen", "carol").code == 2
    assert private.read_bytes() == before
    private.unlink()
    assert cli("policy", "keygen", "carol").code == 2
    assert not private.exists(), "half a pair is no pair"


@pytest.mark.parametrize("name", ["Carol", "../carol", "ca rol", ""])
def test_a_name_that_the_configuration_cannot_hold_makes_no_key(cli, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("policy", "keygen", name).code == 2
    assert list(tmp_path.rglob("*.pem")) == []


def test_nothing_starts_until_two_people_have_signed(cli, place: Path) -> None:
    refused = cli("work", "--once")
    assert refused.code == 2
    assert "an author's signature and a second person's signature" in refused.err
    half = sign(cli)
    assert (half.code, half.json["missing"], half.json["people_needed"]) == (1, ["approver"], 2)
    assert "a second person's signature" in cli("work", "--once").err
    whole = approve(cli)
    assert (whole.code, whole.json["missing"]) == (0, [])
    assert cli("work", "--once").code == 0
    (taken,) = cli("policy", "history", "--json").json
    assert taken["signers"] == ["alice (author)", "bob (approver)"]
    assert cli("log", "verify").code == 0


def test_approving_shows_what_changes_and_what_that_needs(cli, place: Path, running: str) -> None:
    change(place, LOOSER)
    sign(cli)
    shown = cli("policy", "approve", *key("bob"), "--yes")
    assert shown.code == 0
    assert f"in force is {running}" in shown.out
    assert "loosening" in shown.out
    assert "guard/first" in shown.out
    assert "the outcome is lowered from hold to review" in shown.out
    assert "this needs an author's and a second person's signature; signed by alice (author)" in shown.out


def test_nobody_is_both(cli, place: Path) -> None:
    sign(cli)
    done = cli("policy", "approve", *key("alice"), "--yes")
    assert done.code == 2
    assert "`alice` has signed these as author; another person has to" in done.err
    approve(cli)
    assert "as approver" in cli("policy", "sign", *key("bob")).err


def test_signing_twice_changes_nothing(cli, place: Path) -> None:
    sign(cli)
    (file,) = (place / "policies" / ".signatures").rglob("*.json")
    before = file.read_text()
    assert sign(cli).json["missing"] == ["approver"]
    assert file.read_text() == before


def test_approving_asks_first(cli, place: Path) -> None:
    sign(cli)
    done = cli("policy", "approve", *key("bob"))
    assert done.code == 2
    assert "confirm with `--yes`" in done.err
    assert len(list((place / "policies" / ".signatures").rglob("*.json"))) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--as", "carol", "--key", "file:alice.pem"), "`carol` is not among `approvals.signers`"),
        (("--as", "bob", "--key", "file:alice.pem"), "the key is not the one of `bob`"),
        (("--as", "bob", "--key", "file:nosuch.pem"), "cannot be read"),
        (("--as", "bob", "--key", "bob.pem"), "secrets come only from"),
        (("--as", "bob", "--key", "file:bob.pub.pem"), "the private key of `bob` cannot be read"),
    ],
)
def test_a_wrong_key_signs_nothing(cli, place: Path, options: tuple[str, ...], told: str) -> None:
    done = cli("policy", "sign", *options)
    assert done.code == 2
    assert told in done.err
    assert not (place / "policies" / ".signatures").exists()


def test_history_marks_what_is_in_force(cli, place: Path, running: str) -> None:
    change(place, STRICTER)
    sign(cli)
    cli("work", "--once")
    told = cli("policy", "history", "--json").json
    assert [each["in_force"] for each in told] == [False, True]
    assert told[1]["changes"] == ["guard/first: the outcome is raised from hold to block"]
    assert told[1]["previous"] == running
    shown = cli("policy", "history").out
    assert shown.index("now") < shown.index(running[:12])


def test_history_is_empty_before_anything_ran(cli, place: Path) -> None:
    assert "no policies were ever in force" in cli("policy", "history").out


def test_an_earlier_set_is_put_back_with_its_signatures(cli, place: Path, running: str) -> None:
    change(place, LOOSER)
    sign(cli)
    approve(cli)
    cli("work", "--once")
    assert in_force(cli) != running
    shutil.rmtree(place / "policies" / ".signatures")
    change(place, LOOSER + "# not committed\n")
    (place / "policies" / "extra.yaml").write_text(RULE.replace("policy: guard", "policy: extra"))
    (place / "policies" / "guard.test.yaml").write_text("# a test\n")

    done = cli("policy", "rollback", running[:8], "--yes", "--json")

    assert done.code == 0, done.err
    assert (done.json["written"], done.json["removed"]) == (["guard.yaml"], ["extra.yaml"])
    assert (place / "policies" / "guard.yaml").read_text() == RULE
    assert not (place / "policies" / "extra.yaml").exists()
    assert (place / "policies" / "guard.test.yaml").exists()
    backup = Path(done.json["backup"])
    assert "# not committed" in (backup / "guard.yaml").read_text()
    assert (backup / "extra.yaml").exists()
    assert cli("work", "--once").code == 0
    assert in_force(cli) == running
    assert cli("log", "verify").code == 0
    assert cli("doctor", "--json").code == 0


def test_a_set_that_only_its_author_signed_is_not_rolled_back_to_when_that_loosens(
    cli, place: Path, running: str
) -> None:
    change(place, STRICTER)
    sign(cli)
    cli("work", "--once")
    middle = in_force(cli)
    both = STRICTER.replace("[merchant.onboarding]", "[merchant.onboarding, merchant.changed]")
    change(place, both)
    sign(cli)
    cli("work", "--once")

    refused = cli("policy", "rollback", middle, "--yes")

    assert refused.code == 2
    assert "no longer runs on `merchant.changed`" in refused.err
    assert (place / "policies" / "guard.yaml").read_text() == both
    assert cli("policy", "approve", *key("bob"), "--yes", "--digest", middle).code == 0
    assert cli("policy", "rollback", middle, "--yes").code == 0
    assert cli("work", "--once").code == 0
    assert in_force(cli) == middle


def test_an_unknown_set_is_not_put_back(cli, place: Path, running: str) -> None:
    for wrong in ("00000000", "xyz", running[:2]):
        done = cli("policy", "rollback", wrong, "--yes")
        assert done.code == 2
        assert "paycordon policy history" in done.err


def test_a_rollback_that_died_half_way_is_refused_by_all_and_ended_by_the_same_command(
    cli, place: Path, running: str
) -> None:
    """What a killed rollback leaves: the marker, and files of two sets."""
    change(place, STRICTER)
    sign(cli)
    cli("work", "--once")
    (place / "policies" / MARKER).write_text(running)

    assert "rolled back" in cli("work", "--once").err
    assert "rolled back" in cli("policy", "sign", *key("alice")).err
    broken = [each for each in cli("doctor", "--json").json["found"] if each["part"] == "policies in force"]
    assert broken[0]["health"] == "fail"

    assert cli("policy", "rollback", running, "--yes").code == 0
    assert not (place / "policies" / MARKER).exists()
    assert cli("work", "--once").code == 0
    assert in_force(cli) == running


def test_a_rollback_that_cannot_write_leaves_what_is_in_force(cli, place: Path, running: str) -> None:
    change(place, STRICTER)
    sign(cli)
    cli("work", "--once")
    (place / "policies" / ".replaced").write_text("a file where a directory has to be")

    done = cli("policy", "rollback", running, "--yes")

    assert done.code == 2
    assert "cannot be written" in done.err
    assert (place / "policies" / "guard.yaml").read_text() == STRICTER
    assert "rolled back" in cli("work", "--once").err
    (place / "policies" / ".replaced").unlink()
    assert cli("policy", "rollback", running, "--yes").code == 0


def test_the_doctor_tells_files_that_are_not_in_force(cli, place: Path, running: str) -> None:
    def told() -> tuple[str, str]:
        about = [each for each in cli("doctor", "--json").json["found"] if each["part"] == "policies in force"]
        return about[-1]["health"], about[-1]["message"]

    assert told()[0] == "ok"
    change(place, LOOSER)
    assert told()[0] == "fail"
    assert "are not approved" in told()[1]
    sign(cli)
    approve(cli)
    assert told()[0] == "warn"
    cli("work", "--once")
    assert told()[0] == "ok"
