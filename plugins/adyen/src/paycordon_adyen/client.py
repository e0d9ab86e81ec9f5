"""The vendor's SDK, with its traps taken out in one place.

What is known of version 16 and guarded against here:

* a name that does not exist is `None` instead of an error: every call that is made is looked up at the start;
* setting any `api_…_version` breaks the addresses of other services: none is set, and the addresses are compared;
* it follows redirects and would take the key along, opens a connection for every request, and waits for as long to be
  connected as for an answer: requests go through a transport of our own, made of the same `requests`;
* it swaps `-live` and `-test` wherever they stand in an address: another address must not contain them;
* it puts queries into addresses as they are: `pages` quotes them;
* it never retries, which is as it should be: the core's driver does, knowing what each answer means.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import Adyen
import requests

from paycordon.adapting.fields import Node
from paycordon.errors import ConfigError, PayloadInvalid, Refused, RetryLater
from paycordon_adyen.errors import reading
from paycordon_adyen.installed import MAJOR

if TYPE_CHECKING:
    from paycordon_adyen.gateway import AdyenSettings

CONNECT_TIMEOUT_SECONDS = 5.0
PAGE = 100
MAX_PAGES = 100

_BCL, _BTL, _LEM, _DISPUTES = "/bcl/v2", "/btl/v4", "/lem/v4", "/ca/services/DisputeService/v30"
USED: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("balancePlatform", "account_holders_api"): (
        _BCL,
        (
            "get_account_holder",
            "update_account_holder",
            "get_all_balance_accounts_of_account_holder",
            "get_all_transaction_rules_for_account_holder",
        ),
    ),
    ("balancePlatform", "balance_accounts_api"): (_BCL, ("get_balance_account",)),
    ("balancePlatform", "custom_payout_schedules_sweeps_api"): (
        _BCL,
        ("get_all_sweeps_for_balance_account", "get_sweep", "update_sweep"),
    ),
    ("balancePlatform", "managed_payout_schedules_api"): (
        _BCL,
        ("get_balance_account_managed_schedules", "update_balance_account_managed_schedule"),
    ),
    ("balancePlatform", "transaction_rules_api"): (_BCL, ("create_transaction_rule", "update_transaction_rule")),
    ("balancePlatform", "transfer_limits_balance_account_level_api"): (
        _BCL,
        ("create_transfer_limit", "get_transfer_limits"),
    ),
    ("transfers", "transfers_api"): (
        _BTL,
        (
            "approve_initiated_transfers",
            "cancel_initiated_transfers",
            "get_all_transfers",
            "get_transfer",
            "return_transfer",
        ),
    ),
    ("legalEntityManagement", "legal_entities_api"): (_LEM, ("get_legal_entity",)),
    ("legalEntityManagement", "transfer_instruments_api"): (
        _LEM,
        ("get_transfer_instrument", "delete_transfer_instrument"),
    ),
    ("disputes", "disputes_api"): (
        _DISPUTES,
        ("retrieve_applicable_defense_reasons", "supply_defense_document", "delete_dispute_defense_document"),
    ),
}
"""Every call of the SDK that this adapter makes, by service and interface, with the path of the version it speaks."""


def connect(settings: AdyenSettings, key: str) -> Adyen.Adyen:
    """Return the SDK for one of Adyen's keys, looked over.

    Raises:
        ConfigError: the SDK has not what this adapter calls, or speaks another version of it.
    """
    sdk = Adyen.Adyen(xapikey=key, platform=settings.mode.value)
    timeout = (min(CONNECT_TIMEOUT_SECONDS, settings.timeout_seconds), settings.timeout_seconds)
    sdk.client.http_client = _Transport(timeout)
    sdk.client.http_init = True
    require_calls(sdk)
    if settings.base_url:
        for service, name in USED:
            interface = getattr(getattr(sdk, service), name)
            interface.baseUrl = settings.base_url.rstrip("/") + urlsplit(interface.baseUrl).path
    return sdk


def require_calls(sdk: Adyen.Adyen) -> None:
    """Look up everything that is called, and where it goes.

    Raises:
        ConfigError: a name is missing, or stands for another version.
    """
    for (service, name), (path, calls) in USED.items():
        interface = getattr(getattr(sdk, service, None), name, None)
        missing = [call for call in calls if not callable(getattr(interface, call, None))]
        if missing:
            raise ConfigError(f"the installed `Adyen` has no `{service}.{name}.{missing[0]}`")
        found = urlsplit(str(getattr(interface, "baseUrl", ""))).path
        if found != path:
            raise ConfigError(f"the installed `Adyen` speaks `{found}` where this adapter was written for `{path}`")
    pinned = [key for key, value in vars(sdk.client).items() if key.startswith("api_") and value is not None]
    if pinned:
        raise ConfigError(f"`{pinned[0]}` of the SDK is set, which breaks the addresses of its other services")


class _Transport:
    """What the SDK sends through: connections are kept, redirects are not followed, waiting is bounded."""

    user_agent = f"paycordon/adyen-python-api-library/{MAJOR}"

    def __init__(self, timeout: tuple[float, float]) -> None:
        self._timeout = timeout
        self._of_thread = threading.local()

    def request(
        self, method: str, url: str, json: Any = None, xapikey: str = "", headers: dict[str, str] | None = None
    ) -> tuple[str, Any, int, Any]:
        """Send one request, as the SDK's own transport does; answers with text, request, status and headers."""
        sent = {**(headers or {}), "x-api-key": xapikey, "User-Agent": self.user_agent}
        answer = self._session().request(
            method, url, json=json, headers=sent, timeout=self._timeout, allow_redirects=False
        )
        return answer.text, json, answer.status_code, answer.headers

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = requests.Session()
            # A proxy of the environment is meant; a password for this host in somebody's `.netrc` is not.
            session.auth = _nothing_added
            self._of_thread.session = session
        return session


def _nothing_added(request: Any) -> Any:
    return request


_Lister = Callable[[dict[str, str]], Any]


def pages(lister: _Lister, key: str, what: str) -> Iterator[Node]:
    """Follow a list that counts in offsets to its end.

    Raises:
        RetryLater, Refused: it cannot be read, or does not end.
    """
    offset = 0
    for _ in range(MAX_PAGES):
        asked = {"offset": str(offset), "limit": str(PAGE)}
        page = reading(lambda asked=asked: lister(asked), what)  # type: ignore[misc]  # bound at once
        found = _items(page, key, what)
        yield from found
        if not _flag(page, "hasNext", what):
            return
        if not found:
            break  # it says that there is more and gives nothing
        offset += len(found)
    raise Refused(f"adyen's {what} do not end")


def linked_pages(lister: _Lister, key: str, links: str, what: str, asked: dict[str, str]) -> Iterator[Node]:
    """Follow a list that names its next page in a link to its end.

    Raises:
        RetryLater, Refused: it cannot be read, or does not end.
    """
    cursor = ""
    for _ in range(MAX_PAGES):
        given = {**asked, "limit": str(PAGE), **({"cursor": quote(cursor, safe="")} if cursor else {})}
        page = reading(lambda given=given: lister(given), what)  # type: ignore[misc]  # bound at once
        yield from _items(page, key, what)
        following = _cursor(page, links, what)
        if not following:
            return
        if following == cursor:
            break
        cursor = following
    raise Refused(f"adyen's {what} do not end")


def _items(page: Node, key: str, what: str) -> list[Node]:
    if key not in page.fields():
        raise RetryLater(f"adyen's {what} cannot be read")
    try:
        return page.children(key)
    except PayloadInvalid as error:
        raise Refused(f"adyen's {what} cannot be read: {error}") from None


def _flag(page: Node, key: str, what: str) -> bool:
    try:
        return page.flag(key) is True
    except PayloadInvalid as error:
        raise Refused(f"adyen's {what} cannot be read: {error}") from None


def _cursor(page: Node, links: str, what: str) -> str:
    try:
        href = page.child(links).child("next").text("href") or ""
    except PayloadInvalid as error:
        raise Refused(f"adyen's {what} cannot be read: {error}") from None
    return "".join(parse_qs(urlsplit(href).query).get("cursor", [])[:1])
