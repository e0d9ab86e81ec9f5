"""A member's side: ask a hub about identifiers without telling it which."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from paycordon.errors import ConfigError, PaycordonError
from paycordon.events import Identifier
from paycordon.hub import group, voprf
from paycordon.hub.buckets import entries_of
from paycordon.hub.wire import BATCH, BINARY, ENTRY_BYTES, INDEX_BYTES, bucket_of, private_input, record_of

if TYPE_CHECKING:
    import urllib3

_CONNECT_S, _READ_S = 3.0, 30.0
_MAX_DESCRIPTION = 65_536
_ATTEMPTS = 3
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class HubUnavailable(PaycordonError):
    """The hub did not answer, or the allowance is used up: ask again later.

    Attributes:
        after: how long the hub asks to wait, if it says so.
    """

    def __init__(self, message: str, *, after: timedelta | None = None) -> None:
        self.after = after
        super().__init__(message)


class HubRefused(PaycordonError):
    """The hub does not take the token, or no longer the pinned keys: the configuration must change."""


class HubMistrusted(PaycordonError):
    """The hub did not do what it must: nothing it said was used, and a person should look."""


class _Offer(BaseModel):
    """An epoch as the hub describes it; what a member does not use is left out."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    number: Annotated[int, Field(ge=1, lt=10**9)]
    public_key: str
    list: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    bits: Annotated[int, Field(ge=0, le=32)]
    capacity: Annotated[int, Field(ge=1, le=1_000_000)]


class _Description(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    suite: str
    epochs: list[_Offer]


class _HubMovedOn(Exception):  # never leaves the module
    """The list was built anew, or the epoch ended, between two requests."""


class Hub:
    """A hub as one of its members sees it.

    The hub sees how many identifiers are asked about, and for each the first bits of its output: it could be any of
    the entries of one bucket, or none. Equal identifiers are asked about once.

    Args:
        url: `https://…`; plain `http` to this machine only.
        token: what the hub gave the member.
        public_keys: the hub's keys in hexadecimal, received from it by another way and the same for all members. The
            newest epoch with one of these keys is used, and no other key is believed.
        max_bits: how many bits of an output the hub may ask for at most.
        random_scalar: the source of blinds.

    Raises:
        ConfigError: the address is not safe, or a key is none.
    """

    def __init__(
        self,
        url: str,
        token: str,
        public_keys: Sequence[str],
        *,
        max_bits: int = 16,
        random_scalar: Callable[[], bytes] = group.random_scalar,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ConfigError("a hub's address begins with `https://`")
        self._keys = [_pinned(key) for key in public_keys]
        self._url, self._token = url.rstrip("/"), token
        self._max_bits = max_bits
        self._random_scalar = random_scalar
        self._current: _Offer | None = None
        self._http = _pool()

    def close(self) -> None:
        """Close all connections."""
        self._http.clear()

    def known(self, identifiers: Sequence[Identifier]) -> list[bool]:
        """Tell for each identifier whether the hub's list holds it. A lead, never a proof.

        Raises:
            HubUnavailable, HubRefused, HubMistrusted: no answer can be given for any of them.
            ValueError: an identifier carries only a digest.
        """
        if any(each.value is None for each in identifiers):
            raise ValueError("a hub can only be asked about plain values")
        inputs = [private_input(each) for each in identifiers]
        found = dict[bytes, bool]()
        for batch in _batches(list(dict.fromkeys(inputs))):
            found.update(self._ask(batch))
        return [found[each] for each in inputs]

    def _ask(self, inputs: Sequence[bytes]) -> Mapping[bytes, bool]:
        evaluated = dict[int, Sequence[bytes]]()
        for _ in range(_ATTEMPTS):
            offer = self._current = self._current or self._offer()
            try:
                if offer.number not in evaluated:
                    evaluated[offer.number] = [record_of(each) for each in self._evaluated(offer, inputs)]
                records = evaluated[offer.number]
                buckets = self._buckets(offer, {bucket_of(record, offer.bits) for record in records})
            except _HubMovedOn:
                self._current = None
                continue
            return {
                each: record[INDEX_BYTES:] in buckets[bucket_of(record, offer.bits)]
                for each, record in zip(inputs, records, strict=True)
            }
        raise HubUnavailable("the hub's list changes all the time")

    def _offer(self) -> _Offer:
        """Return the newest epoch under a pinned key."""
        answered = self._request("GET", "/v1/epochs", None, _MAX_DESCRIPTION)
        try:
            description = _Description.model_validate_json(answered)
        except ValidationError:
            raise HubMistrusted("the hub's description of itself cannot be read") from None
        if not description.epochs:
            raise HubUnavailable("the hub has no list yet")
        offers = [each for each in description.epochs if each.public_key in self._keys]
        if description.suite != voprf.SUITE or not offers:
            raise HubRefused("the hub uses none of the pinned keys; ask it, by another way, for its key")
        newest = max(offers, key=lambda each: each.number)
        if newest.bits > self._max_bits:
            raise HubMistrusted(f"the hub asks for {newest.bits} bits of what is looked up, more than `max_bits`")
        return newest

    def _evaluated(self, offer: _Offer, inputs: Sequence[bytes]) -> Sequence[bytes]:
        blinds = [self._random_scalar() for _ in inputs]
        blinded = [voprf.blind(each, scalar) for each, scalar in zip(inputs, blinds, strict=True)]
        size = len(inputs) * group.ELEMENT_BYTES
        path = f"/v1/epochs/{offer.number}/evaluate"
        answered = self._request("POST", path, b"".join(blinded), size + voprf.PROOF_BYTES, exact=True)
        evaluated = [answered[at : at + group.ELEMENT_BYTES] for at in range(0, size, group.ELEMENT_BYTES)]
        public_key = bytes.fromhex(offer.public_key)
        try:
            return voprf.finalize(inputs, blinds, evaluated, blinded, public_key, answered[size:])
        except voprf.ProofInvalid:
            message = "the hub did not prove that it used its key: it may be telling members apart"
            raise HubMistrusted(message) from None

    def _buckets(self, offer: _Offer, numbers: set[int]) -> Mapping[int, set[bytes]]:
        """Fetch buckets, each once, in an order that says nothing about who was asked about first."""
        order = sorted(numbers)
        secrets.SystemRandom().shuffle(order)
        size = offer.capacity * ENTRY_BYTES
        body = b"".join(number.to_bytes(INDEX_BYTES, "big") for number in order)
        path = f"/v1/epochs/{offer.number}/lists/{offer.list}/buckets"
        answered = self._request("POST", path, body, len(order) * size, exact=True)
        return {number: entries_of(answered[at * size : (at + 1) * size]) for at, number in enumerate(order)}

    def _request(self, method: str, path: str, body: bytes | None, room: int, *, exact: bool = False) -> bytes:
        from urllib3.exceptions import HTTPError

        headers = {"authorization": f"Bearer {self._token}", "user-agent": "paycordon", "accept-encoding": "identity"}
        if body is not None:
            headers["content-type"] = BINARY
        try:
            answer = self._http.request(
                method,
                self._url + path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            content: bytes = answer.read(room + 1, decode_content=False)
            if len(content) > room:
                answer.close()  # what is left unread must not be taken for the next answer
            answer.release_conn()
        except HTTPError as error:
            raise HubUnavailable(f"the hub was not reached: {type(error).__name__}") from None
        _check(answer)
        if len(content) > room or (exact and len(content) != room):
            raise HubMistrusted("the hub's answer has not the length it must have")
        return content


def _check(answer: urllib3.BaseHTTPResponse) -> None:
    status, after = answer.status, answer.headers.get("retry-after", "")
    wait = timedelta(seconds=int(after)) if after.isdecimal() and len(after) < 9 else None
    if status in (409, 410):
        raise _HubMovedOn
    if status == 401:
        raise HubRefused("the hub does not take the token")
    if status == 429:
        raise HubUnavailable("the allowance is used up for now", after=wait)
    if status >= 500:
        raise HubUnavailable(f"the hub answered {status}", after=wait)
    if status != 200:
        raise HubMistrusted(f"the hub answered {status}")


def _pool() -> urllib3.PoolManager:
    try:
        import urllib3
    except ModuleNotFoundError:
        raise ConfigError("`urllib3` is not installed", hint="pip install 'paycordon[hub]'") from None
    return urllib3.PoolManager(timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S), cert_reqs="CERT_REQUIRED")


def _pinned(key: str) -> str:
    try:
        return group.element_from(bytes.fromhex(key)).hex()
    except ValueError:
        raise ConfigError("a pinned key is no public key of a hub", hint="it has 64 hexadecimal digits") from None


def _batches(inputs: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for at in range(0, len(inputs), BATCH):
        yield inputs[at : at + BATCH]
