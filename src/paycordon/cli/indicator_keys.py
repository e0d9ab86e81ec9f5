"""`paycordon indicator keys`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, open_store, read_config
from paycordon.cli.output import print_json, print_line, print_table
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from paycordon.store.keyuse import KeyUse


def keys(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> int:
    """Count what is stored under which identifier key, and say which keys may be taken off the configuration.

    Ends with 1 when something is stored under a key that is not configured, and so matches nothing.
    """
    from datetime import UTC, datetime

    from paycordon.store.keyuse import Advice, key_uses

    loaded = read_config(config)
    section = loaded.identifier_keys
    store = open_store(config)
    try:
        with store.read() as connection:
            fades_after = loaded.indicators.known_for.length
            found = key_uses(connection, section.keys, section.current, datetime.now(UTC), fades_after, section.shared)
    finally:
        store.close()
    if as_json:
        print_json([asdict(each) for each in found])
    else:
        heads = ("key", "indicators", "newest", "sightings", "in windows", "last seen", "cleared", "held", "sealed", "")
        print_table(heads, [[*_shown(each)] for each in found])
        for each in found:
            if sentence := _sentence(each):
                print_line(sentence)
    return FINDINGS if any(each.advice is Advice.MISSING for each in found) else 0


def _shown(use: KeyUse) -> tuple[object, ...]:
    counts = (use.indicators, use.changed_at, use.sightings, use.facts, use.seen_at, use.cleared, use.held, use.sealed)
    return (use.key, *counts, use.advice.value)


def _sentence(use: KeyUse) -> str:
    from paycordon.store.keyuse import Advice

    about = f"`{use.key}`"
    if use.advice is Advice.MISSING:
        return f"{about} is not configured: what is stored under it matches nothing; add it to `identifier_keys.keys`"
    if use.advice is Advice.NEEDED:
        sealed = f", and {use.sealed} messages to others wait under it" if use.sealed else ""
        return (
            f"{about} must stay: {use.indicators} indicators that count under no other, {use.cleared} that people "
            f"cleared, and {use.held} behind holds in force are under it; they go when their sources say them again"
            f"{sealed}"
        )
    if use.advice is Advice.FADING:
        return f"{about} should stay until {use.fades_at:%Y-%m-%d}: until then merchants are known by what was seen"
    if use.advice is Advice.SHARED:
        return f"{about} is shared with others: it stays as long as they say anything under it"
    if use.advice is Advice.UNUSED:
        return f"{about} may be taken off `identifier_keys.keys`: nothing that counts is under it"
    return ""
