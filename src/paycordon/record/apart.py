"""What people write, named in the log by a digest whose salt is held apart and erased with the text.

Reasons and notes are short, and may name somebody. Without a salt, anybody who has the log could try out what an erased
one may have said. The salt stands in a table of its own, under the digest, with the id of the record that has the text.
"""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, text

from paycordon.record.log import SALT_LENGTH, digest_of, new_salt, salted_digest
from paycordon.store.prepared import Prepared

_insert = Prepared(text("INSERT INTO salts (digest, subject, salt) VALUES (:digest, :subject, :salt)"))
_salt = Prepared(text("SELECT salt FROM salts WHERE digest = :digest"))
_forget = Prepared(text("DELETE FROM salts WHERE subject = :subject"))


def digest_apart(connection: Connection, subject: str, words: str) -> str:
    """Return the digest that the log names words by, in the transaction that stores them.

    Args:
        connection: a transaction for writing.
        subject: the id of the hold, case, proposal, snooze or act that has the words, or whom they are about.
        words: what somebody wrote.
    """
    salt = new_salt(secrets.token_bytes)
    digest = salted_digest(salt, words)
    _insert(connection, {"digest": digest, "subject": subject, "salt": salt})
    return digest


def is_of(connection: Connection, digest: object, words: object) -> bool:
    """Tell whether a digest is that of stored words; those of the first versions have no salt."""
    if not isinstance(digest, str) or not isinstance(words, str):
        return False
    salt = _salt(connection, {"digest": digest}).scalar()
    if salt is None:
        return digest_of(words) == digest
    # A salt of another length could hold a part of the words.
    return isinstance(salt, str) and len(salt) == SALT_LENGTH and salted_digest(salt, words) == digest


def forget(connection: Connection, *subjects: str) -> None:
    """Erase the salts of what was written about these, once it is erased itself."""
    _forget.many(connection, [{"subject": subject} for subject in subjects])
