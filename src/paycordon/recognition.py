"""Recognise a person by name and token."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from paycordon.config import Config
from paycordon.people import Forbidden, Person, Role

TOKEN_VARIABLE = "PAYCORDON_TOKEN"  # noqa: S105 - the name of a variable, not a token
_TOKEN_BYTES = 32


def recognised(config: Config, name: str, token: str | None) -> Person:
    """Return the person of that name, who has proved to be it.

    Where the configuration names no people, everybody who can read it is taken at their word, with all roles but
    `restricted`.

    Raises:
        Forbidden: there is no such person, or the token is not theirs; which of the two is not said.
    """
    if not config.people:
        return Person(name, frozenset(Role) - {Role.RESTRICTED})
    known = config.people.get(name)
    expected = known.token_sha256 if known else "0" * 64
    right = hmac.compare_digest(digest_of_token(token or ""), expected)
    if known is None or not right:
        raise Forbidden(f"`{name}` is not recognised; set {TOKEN_VARIABLE} to the token of that person")
    return Person(name, frozenset(known.roles))


def new_token() -> tuple[str, str]:
    """Make a token; returns it and the digest that goes into the configuration."""
    token = f"pct_{secrets.token_urlsafe(_TOKEN_BYTES)}"
    return token, digest_of_token(token)


def digest_of_token(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal. Tokens are random, so a plain digest tells nothing."""
    return hashlib.sha256(token.encode()).hexdigest()
