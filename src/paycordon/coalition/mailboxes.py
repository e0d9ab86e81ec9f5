"""What providers of mailboxes ignore in an address: several spellings of it are one mailbox.

Only what a provider says of itself; elsewhere a dot or what follows a plus may be another box.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Provider:
    """Names under which it takes mail, the first being the one that is compared.

    Attributes:
        hosts: as a pattern.
        host: the one of them that stands for all; none where each is a box of its own.
        mark: what follows it only sorts mail.
        ignored: letters that may be left out.
        same: a letter that stands for another one.
    """

    hosts: re.Pattern[str]
    host: str | None = None
    mark: str = "+"
    ignored: str = ""
    same: tuple[str, str] | None = None


_PROVIDERS = (
    _Provider(re.compile(r"(gmail|googlemail)\.com"), "gmail.com", ignored="."),
    _Provider(re.compile(r"(outlook|hotmail|live|msn)\.[a-z]{2,3}(\.[a-z]{2})?|passport\.com")),
    _Provider(re.compile(r"icloud\.com|me\.com|mac\.com")),
    _Provider(re.compile(r"protonmail\.com|proton\.me|pm\.me|protonmail\.ch"), "proton.me", ignored=".-_"),
    _Provider(re.compile(r"fastmail\.(com|fm)")),
    _Provider(re.compile(r"yahoo\.[a-z]{2,3}(\.[a-z]{2})?|ymail\.com|rocketmail\.com"), mark="-"),
    _Provider(re.compile(r"ya\.ru|yandex\.(ru|com|by|kz|ua)|narod\.ru"), "yandex.ru", same=(".", "-")),
    _Provider(re.compile(r"zoho(mail)?\.com|mailbox\.org|hey\.com|runbox\.com|posteo\.(de|net)")),
)


def canonical(local: str, host: str) -> str:
    """Return one spelling of a mailbox; both parts are folded, and the host is ASCII."""
    provider = next((each for each in _PROVIDERS if each.hosts.fullmatch(host)), None)
    if provider is None:
        return f"{local}@{host}"
    box = local.partition(provider.mark)[0] or local
    if provider.same is not None:
        box = box.replace(*provider.same)
    bare = "".join(c for c in box if c not in provider.ignored) or box
    return f"{bare}@{provider.host or host}"
