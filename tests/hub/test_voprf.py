"""The protocol of RFC 9497, step by step against the RFC's own vectors and against another implementation."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest

from paycordon.hub import group, voprf

RFC: dict[str, Any] = json.loads((Path(__file__).parent / "rfc9497.json").read_text())
KEY, PUBLIC = bytes.fromhex(RFC["key"]), bytes.fromhex(RFC["public_key"])
VECTORS = pytest.mark.parametrize("vector", RFC["vectors"], ids=["first", "second", "batch"])


def raw(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(each) for each in values]


def evaluated(texts: list[bytes], key: bytes = KEY, public: bytes = PUBLIC) -> dict[str, Any]:
    """One whole run with random blinds, ready to be finalized."""
    blinds = [group.random_scalar() for _ in texts]
    blinded = [voprf.blind(text, scalar) for text, scalar in zip(texts, blinds, strict=True)]
    elements, proof = voprf.blind_evaluate(key, public, blinded, group.random_scalar())
    return {"inputs": texts, "blinds": blinds, "evaluated": elements, "blinded": blinded, "proof": proof}


def test_the_key_pair_is_derived_as_the_rfc_says() -> None:
    derived = voprf.derive_key_pair(bytes.fromhex(RFC["seed"]), bytes.fromhex(RFC["key_info"]))

    assert derived == (KEY, PUBLIC)


@VECTORS
def test_blind(vector: dict[str, Any]) -> None:
    pairs = zip(raw(vector["input"]), raw(vector["blind"]), strict=True)

    assert [voprf.blind(text, scalar) for text, scalar in pairs] == raw(vector["blinded"])


@VECTORS
def test_blind_evaluate_and_its_proof(vector: dict[str, Any]) -> None:
    randomness = bytes.fromhex(vector["randomness"])

    elements, proof = voprf.blind_evaluate(KEY, PUBLIC, raw(vector["blinded"]), randomness)

    assert elements == raw(vector["evaluated"])
    assert proof.hex() == vector["proof"]


@VECTORS
def test_finalize(vector: dict[str, Any]) -> None:
    given = [raw(vector[name]) for name in ("input", "blind", "evaluated", "blinded")]

    assert voprf.finalize(*given, PUBLIC, bytes.fromhex(vector["proof"])) == raw(vector["output"])


@VECTORS
def test_evaluate(vector: dict[str, Any]) -> None:
    assert [voprf.evaluate(KEY, text) for text in raw(vector["input"])] == raw(vector["output"])


def test_a_whole_run_gives_what_the_owner_of_the_key_computes() -> None:
    texts = [secrets.token_bytes(n) for n in (0, 1, 63, 4_000)]

    outputs = voprf.finalize(**evaluated(texts), public_key=PUBLIC)

    assert outputs == [voprf.evaluate(KEY, text) for text in texts]


def test_another_key_is_noticed() -> None:
    key, public = voprf.derive_key_pair(secrets.token_bytes(32), b"another")

    for told in (public, PUBLIC):  # whether or not the hub says so
        with pytest.raises(voprf.ProofInvalid):
            voprf.finalize(**evaluated([b"a"], key, told), public_key=PUBLIC)


@pytest.mark.parametrize("part", ["evaluated", "blinded", "proof"])
def test_each_flipped_byte_is_noticed(part: str) -> None:
    run = evaluated([b"a", b"b"])
    for at in range(0, 32, 5):
        broken = dict(run)
        value = broken[part] if part == "proof" else broken[part][1]
        flipped = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        broken[part] = flipped if part == "proof" else [run[part][0], flipped]
        with pytest.raises(voprf.ProofInvalid):
            voprf.finalize(**broken, public_key=PUBLIC)


def test_swapped_short_and_missing_evaluations_are_noticed() -> None:
    run = evaluated([b"a", b"b"])
    for changed in (
        {"evaluated": run["evaluated"][::-1]},
        {"evaluated": run["evaluated"][:1]},
        {"evaluated": [run["evaluated"][0], b""]},
        {"evaluated": [run["evaluated"][0], bytes(32)]},
        {"proof": run["proof"][:-1]},
        {"proof": bytes(64)},
        {"proof": b"\xff" * 64},
        {"inputs": [], "blinds": [], "evaluated": [], "blinded": []},
    ):
        with pytest.raises(voprf.ProofInvalid):
            voprf.finalize(**(run | changed), public_key=PUBLIC)


# RFC 9496, appendix A.2: encodings that must be refused.
REFUSED = [
    "00" * 32,  # the identity, refused by RFC 9497
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",  # not canonical
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000000",  # negative
    "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",  # no square root
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # y = 0
]


@pytest.mark.parametrize("encoded", [*REFUSED, "", "aa" * 31, "aa" * 33])
def test_what_is_no_element_is_refused(encoded: str) -> None:
    with pytest.raises(group.InvalidEncoding):
        voprf.blind_evaluate(KEY, PUBLIC, [bytes.fromhex(encoded)], group.random_scalar())


def test_libsodium_leaves_no_file_behind() -> None:
    assert not Path(sys.modules["rbcl._sodium"].lib_path).exists()


def test_an_input_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="65,535"):
        voprf.blind(bytes(65_536), group.random_scalar())


def test_both_sides_work_with_another_implementation() -> None:
    """`voprf` wraps the Rust crate of that name; it has no fixed blinds, so the vectors alone do not try it."""
    peer = pytest.importorskip("voprf").ristretto
    seed = secrets.token_bytes(32)
    theirs = peer.Evaluator.from_seed(seed, b"hub")
    key, public = voprf.derive_key_pair(seed, b"hub")
    assert theirs.public_key.serialize() == public

    blinds = [group.random_scalar() for _ in range(3)]
    texts = [b"one", b"two", b"three"]
    blinded = [voprf.blind(*pair) for pair in zip(texts, blinds, strict=True)]
    single = theirs.evaluate(peer.BlindedInput.deserialize(blinded[0])).serialize()
    outputs = voprf.finalize(texts[:1], blinds[:1], [single[64:]], blinded[:1], public, single[:64])
    assert outputs == [theirs.evaluate_known_input(b"one")]

    client, blinded_by_them = peer.Client.blind(b"one")
    elements, proof = voprf.blind_evaluate(key, public, [blinded_by_them.serialize()], group.random_scalar())
    answered = peer.VerifiableOutput.deserialize(proof + elements[0])
    assert client.finalize(answered, theirs.public_key) == outputs[0]
