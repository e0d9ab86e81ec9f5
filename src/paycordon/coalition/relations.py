"""How identifiers belong together: the domain in an address or URL, the network around an IP address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from paycordon.coalition import networks, normalisers
from paycordon.events import IdentifierKind

Form = tuple[str, str]
"""Kind and spelling of an identifier."""


class Relation(StrEnum):
    """How an identifier of an event and an indicator belong together.

    `domain`: the indicator is the domain, or a parent domain, of the event's address, URL or host. `network`: it is a
    range that the event's IP address lies in. `known`: the event does not carry it, and its merchant was seen with it.
    """

    EXACT = "exact"
    DOMAIN = "domain"
    NETWORK = "network"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Derived:
    """A digest that follows from an identifier of the event: of which one (its digest), and how."""

    of: str
    relation: Relation


def following(kind: str, form: str) -> Iterator[tuple[Relation, Form]]:
    """Yield what follows from an identifier: domains of an address, URL or host, networks of an IP address."""
    if kind == IdentifierKind.IP:
        for network in networks.around(form):
            yield Relation.NETWORK, (kind, network)
        return
    if kind == IdentifierKind.EMAIL:
        host, own = form.rpartition("@")[2], True
    elif kind == IdentifierKind.URL:
        host, own = normalisers.host_of(form), True
    elif kind == IdentifierKind.DOMAIN:
        host, own = form, False
    else:
        return
    if (address := normalisers.ip(host, None)) is not None:
        for network in (address, *networks.around(address)):
            yield Relation.NETWORK, (IdentifierKind.IP, network)
        return
    for name in normalisers.domains(host):
        if own or name != host:
            yield Relation.DOMAIN, (IdentifierKind.DOMAIN, name)
