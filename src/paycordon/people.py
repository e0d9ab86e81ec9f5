"""Who works on cases: roles, and what they may do."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from paycordon.errors import PaycordonError


class Role(StrEnum):
    """What a person may do; nobody has a role by having another, but `admin` has all except `restricted`.

    `viewer` reads. `analyst` works on cases, places holds and proposes. `approver` agrees to what another proposed.
    `restricted` sees and handles directives of authorities, and tips that others hand us. `admin` manages snoozes of
    others, retention and erasure.
    """

    VIEWER = "viewer"
    ANALYST = "analyst"
    APPROVER = "approver"
    RESTRICTED = "restricted"
    ADMIN = "admin"


class Forbidden(PaycordonError):
    """The person may not do this; says nothing about whether there is anything to be done."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who was recognised, and their roles."""

    name: str
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Tell whether the person has a role, by itself or as an `admin`; anybody with a role may read."""
        if role in self.roles:
            return True
        if role is Role.VIEWER:
            return bool(self.roles)
        return role is not Role.RESTRICTED and Role.ADMIN in self.roles

    def require(self, role: Role) -> None:
        """Go on only if the person has a role.

        Raises:
            Forbidden: they have not.
        """
        if not self.may(role):
            raise Forbidden(f"this takes the role `{role}`, which `{self.name}` does not have")

    def is_(self, name: str) -> bool:
        """Tell whether a name that was recorded is this person's, however it was spelt."""
        return same_name(self.name, name)


def same_name(one: str, other: str) -> bool:
    """Tell whether two names are one, whatever their case, width, spaces and invisible characters."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    wide = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(c for c in wide if unicodedata.category(c) not in ("Cf", "Cc") and not c.isspace())
