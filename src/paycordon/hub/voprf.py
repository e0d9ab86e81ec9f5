"""The verifiable oblivious pseudorandom function of RFC 9497: mode VOPRF (0x01), suite ristretto255-SHA512.

The functions bear the RFC's names. Randomness is an argument, so that the RFC's own test vectors can be run.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from paycordon.hub import group

SUITE = "ristretto255-SHA512"
OUTPUT_BYTES = 64
PROOF_BYTES = 2 * group.SCALAR_BYTES
MAX_INPUT_BYTES = 2**16 - 1
_CONTEXT = b"OPRFV1-\x01-ristretto255-SHA512"
_TO_GROUP, _TO_SCALAR = b"HashToGroup-" + _CONTEXT, b"HashToScalar-" + _CONTEXT
_BLOCK = hashlib.sha512(bytes(128))


class ProofInvalid(Exception):
    """The evaluation was not made with the key that was expected."""


def blind(private_input: bytes, scalar: bytes) -> bytes:
    """Return the blinded element: without `scalar` nobody can tell it from a random one.

    Raises:
        ValueError: the input is longer than 65,535 bytes.
        InvalidEncoding: it maps to the identity, which nobody knows how to find.
    """
    return group.multiply(scalar, _hash_to_group(private_input))


def blind_evaluate(
    key: bytes, public_key: bytes, blinded: Sequence[bytes], randomness: bytes
) -> tuple[list[bytes], bytes]:
    """Evaluate blinded elements, with one proof for all of them that the key is that of `public_key`.

    Args:
        key: the private key, a scalar.
        public_key: its public half.
        blinded: elements, checked here.
        randomness: a fresh random scalar; used twice, it gives the key away.

    Raises:
        InvalidEncoding: one of the elements is none, or the identity.
    """
    elements = [group.element_from(each) for each in blinded]
    evaluated = [group.multiply(key, each) for each in elements]
    factors = _factors(public_key, elements, evaluated)
    m = _sum_of(factors, elements)
    z = group.multiply(key, m)
    t2, t3 = group.multiply_generator(randomness), group.multiply(randomness, m)
    c = _challenge(public_key, m, z, t2, t3)
    s = group.scalar_subtract(randomness, group.scalar_multiply(c, key))
    return evaluated, c + s


def finalize(
    inputs: Sequence[bytes],
    blinds: Sequence[bytes],
    evaluated: Sequence[bytes],
    blinded: Sequence[bytes],
    public_key: bytes,
    proof: bytes,
) -> list[bytes]:
    """Check the proof and return the output for each input.

    Raises:
        ProofInvalid: the elements were not evaluated with the key of `public_key`, or are none.
    """
    if not inputs or not len(inputs) == len(blinds) == len(evaluated) == len(blinded):
        raise ProofInvalid
    try:
        elements = [group.element_from(each) for each in evaluated]
        _verify(group.element_from(public_key), blinded, elements, proof)
        return [
            _output(each, group.multiply(group.invert(scalar), element))
            for each, scalar, element in zip(inputs, blinds, elements, strict=True)
        ]
    except group.InvalidEncoding:
        raise ProofInvalid from None


def evaluate(key: bytes, private_input: bytes) -> bytes:
    """Return the output for an input that the key's owner knows: the same that a member gets by blinding it."""
    return _output(private_input, group.multiply(key, _hash_to_group(private_input)))


def derive_key_pair(seed: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Derive a private and a public key from 32 secret random bytes and a public text (RFC 9497, 3.2.1)."""
    derived = seed + len(info).to_bytes(2, "big") + info
    for counter in range(256):
        key = _hash_to_scalar(derived + bytes([counter]), b"DeriveKeyPair" + _CONTEXT)
        if any(key):
            return key, group.multiply_generator(key)
    raise ValueError("no key can be derived from this seed")


def _verify(public_key: bytes, blinded: Sequence[bytes], evaluated: Sequence[bytes], proof: bytes) -> None:
    if len(proof) != PROOF_BYTES:
        raise ProofInvalid
    c, s = (group.scalar_from(proof[at : at + group.SCALAR_BYTES]) for at in (0, group.SCALAR_BYTES))
    factors = _factors(public_key, blinded, evaluated)
    m, z = _sum_of(factors, blinded), _sum_of(factors, evaluated)
    t2 = group.add(group.multiply_generator(s), group.multiply(c, public_key))
    t3 = group.add(group.multiply(s, m), group.multiply(c, z))
    if not hmac.compare_digest(_challenge(public_key, m, z, t2, t3), c):
        raise ProofInvalid


def _factors(public_key: bytes, blinded: Sequence[bytes], evaluated: Sequence[bytes]) -> list[bytes]:
    seed = hashlib.sha512(_framed(public_key, b"Seed-" + _CONTEXT)).digest()
    return [
        _hash_to_scalar(_framed(seed) + number.to_bytes(2, "big") + _framed(*pair) + b"Composite")
        for number, pair in enumerate(zip(blinded, evaluated, strict=True))
    ]


def _sum_of(factors: Sequence[bytes], elements: Sequence[bytes]) -> bytes:
    total, *others = (group.multiply(factor, each) for factor, each in zip(factors, elements, strict=True))
    for each in others:
        total = group.add(total, each)
    return total


def _challenge(*elements: bytes) -> bytes:
    return _hash_to_scalar(_framed(*elements) + b"Challenge")


def _output(private_input: bytes, element: bytes) -> bytes:
    return hashlib.sha512(_framed(private_input, element) + b"Finalize").digest()


def _hash_to_group(private_input: bytes) -> bytes:
    if len(private_input) > MAX_INPUT_BYTES:
        raise ValueError("the input is longer than 65,535 bytes")
    return group.element_of(_expanded(private_input, _TO_GROUP))


def _hash_to_scalar(text: bytes, tag: bytes = _TO_SCALAR) -> bytes:
    return group.scalar_of(_expanded(text, tag))


def _expanded(text: bytes, tag: bytes) -> bytes:
    """`expand_message_xmd` with SHA-512 to 64 bytes (RFC 9380, 5.3.1), which takes one round."""
    suffix = tag + bytes([len(tag)])
    first = _BLOCK.copy()
    first.update(text + b"\x00\x40\x00" + suffix)
    return hashlib.sha512(first.digest() + b"\x01" + suffix).digest()


def _framed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)
