"""Turn identifiers into keyed digests, and say under which digests an event is compared with indicators.

Only digests are stored and compared: HMAC-SHA-256 under a key of the deployment, with the kind inside, so that the
same text as an email and as a handle are different things. The key's id stands in front.

New digests are made under the current key, of the newest spelling. Events are looked up under every key that is listed
and every spelling that a version of this package has used, so that neither a new key nor a new normaliser makes
anything that is stored match no more. A key can be taken off the list once nothing that counts is stored under it;
`paycordon indicator keys` says which.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from paycordon.coalition import networks, normalisers
from paycordon.coalition.relations import Derived, Form, Relation, following
from paycordon.coalition.warninglist import Entry, shipped
from paycordon.errors import ConfigError
from paycordon.events import Event, Identifier, IdentifierKind

if TYPE_CHECKING:
    from paycordon.coalition.sealing import Sealer

MIN_KEY_BYTES = 32
_MOST_DOMAINS = 64

# So few values exist, or so many are known elsewhere, that whoever has an unkeyed digest finds the value by trying.
LOW_ENTROPY = frozenset(
    {
        IdentifierKind.EMAIL,
        IdentifierKind.PHONE,
        IdentifierKind.DOMAIN,
        IdentifierKind.PERSON,
        IdentifierKind.LEGAL_ENTITY,
        IdentifierKind.TAX_ID,
        IdentifierKind.IBAN,
        IdentifierKind.BANK_ACCOUNT,
        IdentifierKind.IP,
        IdentifierKind.DEVICE,  # hardware addresses and serial numbers are counted up by their makers
        IdentifierKind.DESCRIPTOR,
        IdentifierKind.MERCHANT_ID,
        IdentifierKind.ANALYTICS_ID,
        IdentifierKind.HANDLE,
    }
)


# One of each kind whose library is loaded late.
_SAMPLES = (
    (IdentifierKind.PHONE, "+12025550143"),
    (IdentifierKind.DOMAIN, "b\u00fccher.example"),
    (IdentifierKind.LEGAL_ENTITY, "Example Inc"),
    (IdentifierKind.TAX_ID, "00-0000000"),
    (IdentifierKind.IBAN, "GB82WEST12345698765432"),
    (IdentifierKind.WALLET, "0x52908400098527886E0F7030069857D2E4169Ee7"),
)


@dataclass(frozen=True, slots=True)
class Leads:
    """An event without plain values, and all digests under which its identifiers may be known.

    Attributes:
        event: with digests under the current key in place of values.
        older: by such a digest, those of the same identifier under other keys and of earlier spellings.
        derived: by digest, what follows from an identifier: the domain of an email address, the network of an IP.
        common: by an identifier's digest, why it names no one in particular, such as `mailbox provider`.
        domains: under the current key, those that follow from an address or URL and name somebody.
        warned: the same as `common`, of everything that the warning list names.
        shares: whether there are keys that members of the coalition share.
        shared: by digest under such a key, the kind: the identifiers themselves, and domains that follow from them.
        current: the id of the current key.
    """

    event: Event
    older: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    derived: Mapping[str, Derived] = field(default_factory=dict)
    common: Mapping[str, str] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    warned: Mapping[str, str] = field(default_factory=dict)
    shares: bool = False
    shared: Mapping[str, str] = field(default_factory=dict)
    current: str = ""


def normalise(identifier: Identifier, country: str | None = None) -> str:
    """Return the one spelling of an identifier's value.

    Args:
        identifier: with its plain value.
        country: the merchant's, ISO 3166-1 alpha-2; telephone and tax numbers without one of their own are read by it.
    """
    full = normalisers.full_form(identifier, country)
    return normalisers.simple_form(identifier) if full is None else full


def is_valid(identifier: Identifier, country: str | None = None) -> bool:
    """Tell whether a value is what its kind says; what is not matches only what is written the same way."""
    return normalisers.full_form(identifier, country) is not None


def can_be_found(kind: str, value: str) -> bool:
    """Tell whether a value can be found by trying: of what kind it is, or that a URL names nothing but a host."""
    if kind == IdentifierKind.URL:
        form = normalisers.url(value, None)
        return form is None or not re.search("[/?]", form)
    return kind in LOW_ENTROPY or kind not in set(IdentifierKind)


def unkeyed_digest(identifier: Identifier, country: str | None = None) -> str:
    """Return SHA-256 of an identifier's spelling, for sources that compare unkeyed digests.

    Raises:
        ValueError: it can be found by trying (`can_be_found`), or its kind is unknown and so may be.
    """
    kind = identifier.kind
    if can_be_found(kind, identifier.value or ""):
        raise ValueError(f"an unkeyed digest of kind `{kind}` can be reversed by trying, so none is made")
    return hashlib.sha256(normalise(identifier, country).encode()).hexdigest()


class Digester:
    """Turns identifiers into keyed digests.

    Args:
        keys: key id to secret, at least 32 bytes each; events are looked up under all of them.
        current: the id of the key that new digests are made with.
        common: what names no one in particular; the shipped warning list by default.
        shared: the ids of keys that members of the coalition have in common.

    Raises:
        ConfigError: a key is too short, or `current` names none.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        current: str,
        common: Sequence[Entry] | None = None,
        shared: Sequence[str] = (),
    ) -> None:
        if current not in keys:
            raise ConfigError(f"`identifier_keys.current` names `{current}`, which is not among the keys")
        for key_id, secret in keys.items():
            if len(secret) < MIN_KEY_BYTES:
                raise ConfigError(
                    f"the identifier key `{key_id}` is shorter than {MIN_KEY_BYTES} bytes",
                    hint="make one with `paycordon init`",
                )
        self._current = self._own = current
        self._keys = dict(keys)
        ordered = [current, *(key_id for key_id in keys if key_id != current)]
        self._macs = {key_id: hmac.new(keys[key_id], digestmod=hashlib.sha256) for key_id in ordered}
        self._entries = common
        self._shared = tuple(f"{key_id}:" for key_id in shared)

    @property
    def current(self) -> str:
        """The id of the key that new digests are made with."""
        return self._current

    @property
    def shared(self) -> tuple[str, ...]:
        """The ids of the keys that members of the coalition have in common."""
        return tuple(each.removesuffix(":") for each in self._shared)

    def under(self, key: str) -> Digester:
        """Return what makes digests under another of the keys, for those who have that one too.

        Raises:
            ConfigError: there is no such key, or it is not shared.
        """
        if f"{key}:" not in self._shared:
            raise ConfigError(f"`{key}` is not among `identifier_keys.shared`", hint="never give away the current key")
        other = copy(self)
        other._current = key
        return other

    def sealer(self) -> Sealer:
        """Return what seals words that have to be kept for a while."""
        from paycordon.coalition.sealing import Sealer  # here: screening needs no ciphers

        return Sealer(self._keys, self._own)

    def prepare(self) -> None:
        """Load now what would otherwise be loaded with the first identifier that needs it: about a quarter second."""
        _ = self._common
        for kind, value in _SAMPLES:
            normalisers.full_form(Identifier.model_construct(kind=kind, value=value, digest=None), "US")
        normalisers.domains("www.example.com")

    def digest(self, identifier: Identifier, country: str | None = None) -> str:
        """Return the digest under the current key; an identifier that already is one is returned as it is.

        Args:
            identifier: with its plain value, or a digest.
            country: the merchant's, for numbers that name none.
        """
        if identifier.digest is not None:
            return identifier.digest
        return self._made(self._current, (str(identifier.kind), normalise(identifier, country)))

    def of_indicator(self, identifier: Identifier, country: str | None = None) -> tuple[str, ...]:
        """Return the digests under which an indicator on a value is stored: one, or several for a range of addresses.

        Raises:
            ValueError: the range is too wide, or cannot be written as few networks.
        """
        if identifier.digest is not None:
            return (identifier.digest,)
        return self._of_indicator(self._current, identifier, country)

    def of_indicator_formerly(self, identifier: Identifier, country: str | None = None) -> Sequence[tuple[str, ...]]:
        """Return, for each digest of `of_indicator`, those of the same under keys that were current before.

        Keys that are shared with others are none of them: nothing that is given by its value is stored under one.

        Raises:
            ValueError: as `of_indicator` does.
        """
        before = [key for key in self._macs if key != self._current and f"{key}:" not in self._shared]
        if identifier.digest is not None or not before:
            return ()
        return list(zip(*(self._of_indicator(key, identifier, country) for key in before), strict=True))

    def of_indicator_before(self, identifier: Identifier, country: str | None = None) -> tuple[str, ...]:
        """Return the digests under the other keys, under which an indicator was stored while one of them was current.

        Raises:
            ValueError: as `of_indicator` does.
        """
        if identifier.digest is not None:
            return ()
        others = [key for key in self._macs if key != self._current]
        return tuple(digest for key in others for digest in self._of_indicator(key, identifier, country))

    def _of_indicator(self, key: str, identifier: Identifier, country: str | None) -> tuple[str, ...]:
        form = normalise(identifier, country)
        if identifier.kind == IdentifierKind.IP and normalisers.ip(form, None) is not None:
            return tuple(self._made(key, ("ip", each)) for each in networks.parts(form))
        return (self._made(key, (str(identifier.kind), form)),)

    def all_of(self, identifier: Identifier, country: str | None = None) -> tuple[Set[str], Set[str], str | None]:
        """Return all digests an identifier may be known under, those that follow from it, and why it names nobody.

        Returns:
            The digests of the identifier itself, under every key and in every spelling; those of its domain or its
            networks; and the label of the warning list, none if it is not on it.
        """
        if identifier.digest is not None:
            return {identifier.digest}, set(), self._common.get(identifier.digest)
        older, derived, common = dict[str, tuple[str, ...]](), dict[str, Derived](), dict[str, str]()
        digest = self._compare(identifier, country, older, derived, common)
        try:
            parts: tuple[str, ...] = self.of_indicator(identifier, country)
        except ValueError:
            parts = ()
        own = {digest, *older.get(digest, ()), *parts}
        label = next((self._common[each] for each in sorted(own) if each in self._common), common.get(digest))
        return own, derived.keys() - own, label

    @property
    def common(self) -> Set[str]:
        """The digests, under any of the keys, of what the warning list says names no one in particular."""
        return self._common.keys()

    def conceal(self, event: Event) -> Event:
        """Return the event with digests in place of all plain identifier values."""
        if not event.identifiers:
            return event
        country = _country(event)
        concealed = dict.fromkeys((str(i.kind), self.digest(i, country)) for i in event.identifiers)
        return _hidden(event, concealed)

    def leads(self, event: Event) -> Leads:
        """Conceal an event, and say under which digests its identifiers may be known."""
        if not event.identifiers:
            return Leads(event, warned=self._common, shares=bool(self._shared), current=self._current)
        country = _country(event)
        found = dict.fromkeys((str(i.kind), i.digest, i.value) for i in event.identifiers)
        concealed: dict[tuple[str, str], None] = {}
        older, derived, common = dict[str, tuple[str, ...]](), dict[str, Derived](), dict[str, str]()
        for kind, digest, value in found:
            if digest is not None or value is None:
                concealed[kind, digest or ""] = None
                self._note_common(digest or "", [], common)
                continue
            identifier = Identifier.model_construct(kind=kind, value=value, digest=None)
            digest = self._compare(identifier, country, older, derived, common)
            concealed[kind, digest] = None
        current = f"{self._current}:"
        follow = (d for d, of in derived.items() if of.relation is Relation.DOMAIN and d.startswith(current))
        domains = tuple(reversed(tuple(follow)))[:_MOST_DOMAINS]  # the registered ones before what lies in them
        shared = self._under_shared(concealed, older, derived)
        shares = bool(self._shared)
        hidden = _hidden(event, concealed)
        return Leads(hidden, older, derived, common, domains, self._common, shares, shared, self._current)

    def _under_shared(
        self,
        concealed: Iterable[tuple[str, str]],
        older: Mapping[str, tuple[str, ...]],
        derived: Mapping[str, Derived],
    ) -> dict[str, str]:
        """By digest under a shared key, the kind of what a merchant is known by."""
        if not self._shared:
            return {}
        follow = [d for d, of in derived.items() if of.relation is Relation.DOMAIN and d.startswith(self._shared)]
        found = dict.fromkeys(follow[-_MOST_DOMAINS:], str(IdentifierKind.DOMAIN))
        own = ((each, kind) for kind, digest in concealed for each in older.get(digest, ()))
        return found | {each: kind for each, kind in own if each.startswith(self._shared)}

    def _compare(
        self,
        identifier: Identifier,
        country: str | None,
        older: dict[str, tuple[str, ...]],
        derived: dict[str, Derived],
        common: dict[str, str],
    ) -> str:
        """Note all digests of one identifier, and return that under the current key."""
        kind, simple = str(identifier.kind), normalisers.simple_form(identifier)
        full = normalisers.full_form(identifier, country)
        spellings = dict.fromkeys((simple if full is None else full, simple))
        digest, *others = (self._made(key, (kind, spelling)) for spelling in spellings for key in self._macs)
        if others:
            older[digest] = tuple(others)
        follows: list[str] = []
        if full is not None:
            for relation, form in following(kind, full):
                for key in self._macs:
                    made = self._made(key, form)
                    follows.append(made)
                    if made not in self._common:
                        derived.setdefault(made, Derived(digest, relation))
        # An address in a big provider's range is as little anybody's own as the range; a mailbox there is somebody's.
        self._note_common(digest, follows if kind == IdentifierKind.IP else [], common)
        return digest

    def _note_common(self, digest: str, around: Sequence[str], common: dict[str, str]) -> None:
        labels = (self._common[each] for each in (digest, *around) if each in self._common)
        if (label := next(labels, None)) is not None:
            common[digest] = label

    @cached_property
    def _common(self) -> Mapping[str, str]:
        """By digest under any of the keys, what the warning list says."""
        entries = shipped() if self._entries is None else self._entries
        return {self._made(key, (each.kind, each.form)): each.label for each in entries for key in self._macs}

    def _made(self, key: str, form: Form) -> str:
        mac = self._macs[key].copy()
        mac.update(f"{form[0]}\0{form[1]}".encode())
        return f"{key}:{mac.hexdigest()}"


def _country(event: Event) -> str | None:
    return event.merchant.country or event.account.country


def _hidden(event: Event, concealed: Mapping[tuple[str, str], None]) -> Event:
    hidden = tuple(Identifier.model_construct(kind=kind, digest=digest) for kind, digest in concealed)
    return event.model_copy(update={"identifiers": hidden})
