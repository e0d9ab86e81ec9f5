"""Checkpoints sign the head of the log."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import select

from paycordon.errors import ConfigError
from paycordon.keys import generate_key, key_id_of, public_key_of
from paycordon.record.checkpoints import (
    Checkpoint,
    checkpoint,
    export,
    load,
    load_private_key,
    load_public_key,
)
from paycordon.record.log import append
from paycordon.store import Store, schema
from paycordon.testing import NOON


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return load_private_key(generate_key())


def log(store: Store, number: int) -> None:
    for n in range(number):
        with store.write() as connection:
            append(connection, NOON, "note", {"n": n})


def test_empty_log_has_no_checkpoint(store: Store, key: Ed25519PrivateKey) -> None:
    assert checkpoint(store, key, NOON) is None


def test_checkpoint_signs_the_exact_statement_about_the_head(store: Store, key: Ed25519PrivateKey) -> None:
    log(store, 3)
    signed = checkpoint(store, key, NOON)
    assert signed is not None
    with store.read() as connection:
        head = connection.execute(select(schema.log.c.hash).order_by(schema.log.c.seq.desc())).scalars().first()
        stored = connection.execute(select(schema.checkpoints)).one()
    said = json.loads(signed.statement)
    assert len(said.pop("restricted")) == 64
    assert said == {
        "paycordon_log": 1,
        "seq": 3,
        "hash": bytes(head or b"").hex(),
        "at": NOON.isoformat(),
    }
    key.public_key().verify(stored.signature, stored.statement.encode())
    assert stored.key_id == hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]
    assert Checkpoint.read(stored.statement, stored.key_id, stored.signature) == signed


def test_nothing_new_is_not_signed_again(store: Store, key: Ed25519PrivateKey) -> None:
    log(store, 1)
    assert checkpoint(store, key, NOON) is not None
    assert checkpoint(store, key, NOON + timedelta(hours=1)) is None
    log(store, 1)
    later = checkpoint(store, key, NOON + timedelta(hours=2))
    assert later is not None
    assert later.seq == 2


def test_exported_checkpoint_is_one_line_and_reads_back_the_same(store: Store, key: Ed25519PrivateKey) -> None:
    log(store, 1)
    signed = checkpoint(store, key, NOON)
    assert signed is not None
    line = export(signed)
    assert "\n" not in line
    assert load([line, "", f"{line}\n"]) == [signed, signed]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "1",
        "{}",
        '{"statement": 1, "key_id": "k", "signature": ""}',
        '{"statement": "{}", "key_id": "k", "signature": ""}',
        '{"statement": "{\\"paycordon_log\\": 2}", "key_id": "k", "signature": ""}',
        '{"statement": "{}", "key_id": "k", "signature": "not base64!"}',
        "[" * 100_000,
    ],
)
def test_line_that_is_no_checkpoint_is_named(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2 is not a checkpoint"):
        load(["", line])


@pytest.mark.parametrize(
    "statement",
    [
        {"seq": 0},
        {"seq": True},
        {"seq": "1"},
        {"hash": "00"},
        {"hash": "zz" * 32},
        {"at": "2026-01-01T00:00:00"},
        {"at": "soon"},
        {"at": None},
    ],
)
def test_malformed_statement_is_refused(statement: dict[str, object]) -> None:
    whole = {"paycordon_log": 1, "seq": 1, "hash": "00" * 32, "at": NOON.isoformat()}
    Checkpoint.read(json.dumps(whole), "k", b"")
    with pytest.raises(ValueError, match=r".+"):
        Checkpoint.read(json.dumps(whole | statement), "k", b"")


def test_signature_holds_for_its_key_and_statement_only(store: Store, key: Ed25519PrivateKey) -> None:
    log(store, 1)
    signed = checkpoint(store, key, NOON)
    assert signed is not None
    public = load_public_key(public_key_of(key))
    assert key_id_of(public) == signed.key_id
    assert signed.is_signed_by(public)
    assert not signed.is_signed_by(Ed25519PrivateKey.generate().public_key())
    respelt = Checkpoint.read(f" {signed.statement}", signed.key_id, signed.signature)
    assert not respelt.is_signed_by(public)


def test_keys_that_are_none_of_ours_are_refused_without_being_repeated() -> None:
    other = X25519PrivateKey.generate()
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for pem in ("", "secret-text", private, public):
        with pytest.raises(ConfigError) as error:
            load_private_key(pem)
        assert "secret-text" not in str(error.value)
    for pem in ("", "text", private, public):
        with pytest.raises(ConfigError):
            load_public_key(pem)
