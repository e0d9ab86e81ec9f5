"""In which form identifiers leave: as digests under a key that the others have too, or plain where that is harmless."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from paycordon.coalition.identifiers import Digester
from paycordon.errors import FeedRefused, Refused
from paycordon.exchange.contract import Here, RecipientSettings
from paycordon.feeds import publishing
from paycordon.feeds.items import Item


class KeyedSettings(RecipientSettings):
    """Settings of recipients that are told digests.

    Attributes:
        under: one of `identifier_keys.shared`, which those who are told have as well; without one the digests are under
            the current key, which nobody else should have.
        plain: whether values leave as they are, which only kinds may that cannot be found by trying.
    """

    under: Annotated[str, Field(min_length=1)] | None = None
    plain: bool = False


def digester_of(settings: KeyedSettings, here: Here) -> Digester:
    """Return what makes the digests that leave.

    Raises:
        ConfigError: the key is not among those that are shared.
    """
    return here.digester if settings.under is None else here.digester.under(settings.under)


def leaving(items: Iterable[Item], settings: KeyedSettings, digester: Digester) -> list[Item]:
    """Return items in the form in which they leave.

    Raises:
        Refused: a value cannot leave like this; says which item, and never the value.
    """
    found = list(items)
    try:
        if not settings.plain:
            return publishing.keyed(found, digester)
        publishing.check_plain(found)
    except FeedRefused as error:
        raise Refused(str(error)) from None
    except ValueError:
        raise Refused("a value cannot be taken") from None
    return found
