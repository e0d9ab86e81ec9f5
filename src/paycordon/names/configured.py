"""Open the lists of names that a configuration names."""

from __future__ import annotations

from collections.abc import Callable

from paycordon.coalition.identifiers import Digester
from paycordon.config import Config
from paycordon.context import NameHit
from paycordon.events import Event

NamedBy = Callable[[Event], tuple[NameHit, ...]]
"""Says which names of a plain event are like names on lists."""


def named_by(config: Config, digester: Digester) -> NamedBy | None:
    """Return what compares the names of events with the configured lists; none if there are no lists.

    Raises:
        ConfigError: the index of a list was not built yet.
    """
    if not config.name_lists:
        return None
    # Imported here: only a deployment with lists of names needs the extra `names`.
    from paycordon.names.screening import NameList, NameScreener

    places = config.name_list_places()
    lists = [NameList(name, places[name][1], each.threshold) for name, each in config.name_lists.items()]
    return NameScreener(lists, digester).hits
