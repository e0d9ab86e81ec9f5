"""Whether a policy set may come into force after another: what has changed, whose signatures that needs, who signed.

Where the configuration demands signatures, every change needs one author's. What comes into force on more than before,
and what may weaken a rule for the protection of children, needs a second person's as well. Signatures are under a
digest, so they count whenever that very set comes into force: going back to a set that was once agreed to needs no new
ones, and going back to one that loosens needs the second person's that it then had, or gets now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paycordon.errors import PolicyError
from paycordon.policy.changes import Change, Why, changes
from paycordon.policy.model import PolicySet
from paycordon.policy.signing import Role, Signature, Signed, check

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_SHOWN = 3
_UNKNOWN = Change(
    "policies", "those in force cannot be read by this version, so nothing can be compared", Why.LOOSENING
)


class Unapproved(PolicyError):
    """A change of the policies lacks signatures; the message says which, and quotes no policy."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What a change needs, and what it has.

    Attributes:
        digest: that of the new set.
        changes: what differs from the set that is in force.
        people: how many people have to sign: none, an author, or an author and a second person.
        signed: who has signed.
    """

    digest: str
    changes: tuple[Change, ...]
    people: int
    signed: Signed

    @property
    def missing(self) -> tuple[Role, ...]:
        """Whose signatures are missing."""
        needed = (Role.AUTHOR, Role.APPROVER)[: self.people]
        return tuple(role for role in needed if not self.signed.names(role))

    @property
    def serious(self) -> tuple[Change, ...]:
        """The changes that take a second person."""
        return tuple(change for change in self.changes if change.why is not None)

    def demand(self) -> None:
        """Insist on the signatures.

        Raises:
            Unapproved: one is missing; says which, why, and how to get it.
        """
        if not self.missing:
            return
        signed = f"; signed by {', '.join(map(_name, self.signed.signatures))}" if self.signed.signatures else ""
        refused = "".join(f"\nnot counted: {each}" for each in self.signed.refused[:_SHOWN])
        message = f"the policies {self.digest[:12]} are not approved: {self._wanted()} is missing{signed}{refused}"
        commands = {Role.AUTHOR: "sign", Role.APPROVER: "approve"}
        hint = ", then ".join(f"`paycordon policy {commands[role]} --as NAME --key file:PATH`" for role in self.missing)
        raise Unapproved(message, hint=hint)

    def _wanted(self) -> str:
        wanted = []
        if Role.AUTHOR in self.missing:
            wanted.append("an author's signature")
        if Role.APPROVER in self.missing:
            reasons = [f"{change} ({change.why})" for change in self.serious]
            more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
            wanted.append(f"a second person's signature for {'; '.join(reasons[:_SHOWN])}{more}")
        return " and ".join(wanted)


def assess(
    old: PolicySet | None,
    new: PolicySet,
    found: Iterable[tuple[str, str]],
    keys: Mapping[str, Ed25519PublicKey],
    *,
    required: bool,
    comparable: bool = True,
) -> Approval:
    """Say what a change needs and has.

    Args:
        old: what is in force; none when nothing is, or when it cannot be read any more.
        new: what shall be.
        found: the signatures that were found, each after its place, see `signing.find`.
        keys: whose signatures count.
        required: whether the configuration demands signatures.
        comparable: false when something is in force that cannot be read any more: then all may have changed.
    """
    signed = check(new.digest, found, keys)
    if old is not None and old.digest == new.digest:
        return Approval(new.digest, (), 0, signed)
    different = (*(() if comparable else (_UNKNOWN,)), *changes(old, new))
    people = (2 if any(change.why for change in different) else 1) if required else 0
    return Approval(new.digest, different, people, signed)


def _name(signature: Signature) -> str:
    return f"`{signature.signer}` ({signature.role})"
