"""Signatures of people under policy sets: which count, and what a change needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from paycordon.errors import ConfigError, PolicyError
from paycordon.keys import public_key_of
from paycordon.policy import PolicySet
from paycordon.policy.approval import Approval, Unapproved, assess
from paycordon.policy.load import policy_from
from paycordon.policy.signing import Role, Signature, check, find, keys_of, sign
from paycordon.testing import NOON

KEYS = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob", "carol", "stranger")}
PUBLIC = keys_of({name: public_key_of(KEYS[name]) for name in ("alice", "bob", "carol")})


def policies(then: str = "hold", *, comment: str = "") -> PolicySet:
    text = (
        "policy: p\nversion: 1\non_error: review\nchild_protection: true\n"
        "rules:\n  - id: r\n    on: [payout.requested]\n"
        f'    when: "true"\n    then: {then}\n    merchant_reason: more_needed\n{comment}'
    )
    return PolicySet([policy_from(text.encode(), "p.yaml")])


def signed(digest: str, role: str, name: str, *, key: str | None = None) -> tuple[str, str]:
    signature = sign(KEYS[key or name], digest, Role(role), name, NOON)
    return signature.file, signature.text


def judged(old: PolicySet | None, new: PolicySet, *found: tuple[str, str], required: bool = True) -> Approval:
    return assess(old, new, found, PUBLIC, required=required)


def refusal(old: PolicySet | None, new: PolicySet, *found: tuple[str, str]) -> Unapproved:
    with pytest.raises(Unapproved) as caught:
        judged(old, new, *found).demand()
    return caught.value


HOLD, REVIEW, COMMENT = policies(), policies("review"), policies(comment="# why\n")


def test_a_signature_survives_its_file(tmp_path: Path) -> None:
    signature = sign(KEYS["alice"], HOLD.digest, Role.AUTHOR, "alice", NOON)
    file = tmp_path / signature.file
    file.parent.mkdir(parents=True)
    file.write_text(signature.text)
    ((place, text),) = find(tmp_path, HOLD.digest)
    assert place == signature.file == f".signatures/{HOLD.digest}/author-alice.json"
    assert Signature.read(text) == signature
    assert Signature.read(text).is_by(PUBLIC["alice"])
    assert not Signature.read(text).is_by(PUBLIC["bob"])


def test_every_change_needs_an_author_and_a_loosening_a_second_person() -> None:
    assert judged(HOLD, COMMENT).people == 1
    assert judged(HOLD, REVIEW).people == 2
    assert judged(None, HOLD).people == 2
    assert judged(HOLD, HOLD).people == 0
    assert judged(HOLD, REVIEW, required=False).people == 0


def test_enough_signatures_are_enough() -> None:
    author, approver = signed(REVIEW.digest, "author", "alice"), signed(REVIEW.digest, "approver", "bob")
    approval = judged(HOLD, REVIEW, author, approver)
    approval.demand()
    assert (approval.signed.names(Role.AUTHOR), approval.signed.names(Role.APPROVER)) == (("alice",), ("bob",))
    judged(HOLD, COMMENT, signed(COMMENT.digest, "author", "carol")).demand()


def test_what_is_missing_is_named_with_the_way_to_get_it() -> None:
    error = refusal(HOLD, REVIEW)
    assert isinstance(error, PolicyError)
    assert "an author's signature and a second person's signature for p/r: the outcome is lowered" in error.message
    assert error.hint is not None
    assert "paycordon policy sign" in error.hint
    assert "paycordon policy approve" in error.hint
    half = refusal(HOLD, REVIEW, signed(REVIEW.digest, "author", "alice"))
    assert "a second person's signature" in half.message
    assert "an author's" not in half.message
    assert "signed by `alice` (author)" in half.message
    assert half.hint == "`paycordon policy approve --as NAME --key file:PATH`"


def test_one_person_cannot_be_both() -> None:
    both = signed(REVIEW.digest, "author", "alice"), signed(REVIEW.digest, "approver", "alice")
    assert "`alice` is an author of it, and cannot be the second person" in refusal(HOLD, REVIEW, *both).message


def test_two_authors_are_no_approval() -> None:
    refusal(HOLD, REVIEW, signed(REVIEW.digest, "author", "alice"), signed(REVIEW.digest, "author", "bob"))


def test_an_approver_alone_is_no_author() -> None:
    assert "an author's signature" in refusal(HOLD, COMMENT, signed(COMMENT.digest, "approver", "bob")).message


def test_one_key_under_two_names_is_refused() -> None:
    pem = public_key_of(KEYS["alice"])
    with pytest.raises(ConfigError, match="`alice` and `other` have the same key"):
        keys_of({"alice": pem, "other": pem})


def test_a_key_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="the public key of the signer `bob` cannot be read"):
        keys_of({"bob": "nonsense"})


FOREIGN: Mapping[str, tuple[tuple[str, str], str]] = {
    "an unknown signer": (signed(REVIEW.digest, "approver", "stranger"), "not among `approvals.signers`"),
    "another's key": (signed(REVIEW.digest, "approver", "bob", key="stranger"), "not made with the key of `bob`"),
    "another digest": (signed(HOLD.digest, "approver", "bob"), "under other policies"),
    "no JSON": (("x.json", "{"), "is no signature"),
    "not an object": (("x.json", "[]"), "is no signature"),
    "nested without end": (("x.json", "[" * 5_000), "is no signature"),
    "empty": (("x.json", ""), "is no signature"),
}


@pytest.mark.parametrize(("found", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_what_does_not_count_is_refused_with_its_reason(found: tuple[str, str], reason: str) -> None:
    error = refusal(HOLD, REVIEW, signed(REVIEW.digest, "author", "alice"), found)
    assert f"not counted: {found[0]}: " in error.message
    assert reason in error.message


def test_a_foreign_signature_does_not_stop_those_that_count() -> None:
    good = signed(REVIEW.digest, "author", "alice"), signed(REVIEW.digest, "approver", "bob")
    judged(HOLD, REVIEW, ("junk.json", "junk"), *good).demand()


def test_the_same_signature_twice_counts_once() -> None:
    one = signed(REVIEW.digest, "approver", "bob")
    found = check(REVIEW.digest, [one, ("copy.json", one[1])], PUBLIC)
    assert found.names(Role.APPROVER) == ("bob",)
    assert found.refused == ("copy.json: `bob` has signed as approver already",)


@pytest.mark.parametrize("part", ["role", "signer", "digest", "at"])
def test_nothing_in_a_signature_can_be_changed(part: str) -> None:
    place, text = signed(REVIEW.digest, "author", "bob")
    outer = json.loads(text)
    inner = json.loads(outer["statement"])
    inner[part] = {"role": "approver", "signer": "alice", "digest": HOLD.digest, "at": "2020-01-01T00:00:00+00:00"}[
        part
    ]
    forged = json.dumps({**outer, "statement": json.dumps(inner, separators=(",", ":"))})
    assert check(str(inner["digest"]), [(place, forged)], PUBLIC).signatures == ()


def test_a_signature_for_something_else_is_none_here() -> None:
    """The key of a signer may also sign checkpoints of the log: the domain keeps them apart."""
    genuine = sign(KEYS["alice"], REVIEW.digest, Role.AUTHOR, "alice", NOON)
    raw = KEYS["alice"].sign(genuine.statement.encode())
    forged = Signature(genuine.statement, raw, genuine.digest, genuine.role, genuine.signer, genuine.at)
    assert check(REVIEW.digest, [("x.json", forged.text)], PUBLIC).signatures == ()


def test_signatures_count_whenever_that_very_set_comes_back() -> None:
    author, approver = signed(REVIEW.digest, "author", "alice"), signed(REVIEW.digest, "approver", "bob")
    judged(HOLD, REVIEW, author, approver).demand()
    judged(COMMENT, REVIEW, author, approver).demand()
    # An author alone was enough when it was stricter; to go back to it from something stricter still it is not.
    refusal(policies("block"), HOLD, signed(HOLD.digest, "author", "alice"))


def test_a_folder_of_signatures_is_read_with_bounds(tmp_path: Path) -> None:
    folder = tmp_path / ".signatures" / HOLD.digest
    folder.mkdir(parents=True)
    for number in range(100):
        (folder / f"{number:03}.json").write_bytes(b"\xff" * 20_000)
    found = find(tmp_path, HOLD.digest)
    assert len(found) == 64
    assert max(len(text) for _, text in found) <= 8_192
    assert find(tmp_path, REVIEW.digest) == []
