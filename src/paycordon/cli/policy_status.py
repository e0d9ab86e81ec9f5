"""`paycordon policy status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_fields, print_json, print_line, print_table
from paycordon.errors import PaycordonError

if TYPE_CHECKING:
    from paycordon.policy import PolicySet
    from paycordon.store.comparison import Comparison, Tally
    from paycordon.store.policies import Taken


def status(
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far to look back: `24h`, `7d`.")] = "7d",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show what is in force, what runs in shadow, and what that would have changed in recorded decisions."""
    from paycordon.reload import read
    from paycordon.screening import utc_now
    from paycordon.store import Store
    from paycordon.store.comparison import compare
    from paycordon.store.lists import StoredLists
    from paycordon.store.policies import history

    span = _duration(since)
    loaded = read_config(config)
    store = Store.open(loaded.store)
    try:
        with store.read() as connection:
            policies, _ = read(loaded, StoredLists(connection))
            taken = history(connection)
            found = compare(connection, utc_now() - span)
    finally:
        store.close()
    if as_json:
        print_json(_document(policies, found, taken[-1] if taken else None))
        return
    _show(policies, found, taken[-1] if taken else None, since)


def _duration(written: str) -> timedelta:
    from paycordon.policy.document import parse_param

    span = parse_param(written)
    if not isinstance(span, timedelta) or not span:
        raise PaycordonError("`--since` is a duration such as `24h` or `7d`")
    return span


def _show(policies: PolicySet, found: Comparison, taken: Taken | None, since: str) -> None:
    fields = {"policy set": policies.digest, "in force": _standing(policies, taken)}
    print_fields({**fields, "decisions": f"{found.decisions} in the last {since}"})
    rows = [(b["id"], b["policy"], b["mode"], b["rollout"], found.capped[b["id"]] or "") for b in _bindings(policies)]
    print_table(("binding", "policy", "mode", "rollout", "capped"), rows, title="Bindings")
    if not found.rules:
        print_line("no rule has matched yet; `paycordon policy backtest` tries policies on history")
        return
    rules = [(name, *_counts(tally.live)[:2], *_counts(tally.shadow)) for name, tally in sorted(found.rules.items())]
    columns = ("rule", "events", "merchants", "in shadow", "merchants", "money in shadow")
    print_table(columns, rules, title="Rules: in force, and in shadow alone")
    changed = [(f"{was} → {would}", *_counts(tally)) for (was, would), tally in sorted(found.changed.items())]
    if changed:
        print_table(("outcome", "events", "merchants", "money"), changed, title="If shadow were in force")
    else:
        print_line("what runs in shadow would not have changed any outcome")


def _standing(policies: PolicySet, taken: Taken | None) -> str:
    """Say whether the files are what is in force, since when, and who had signed."""
    if taken is None:
        return "not yet; the first process that starts takes these files"
    signed = f", signed by {', '.join(taken.signers)}" if taken.signers else ""
    if taken.digest == policies.digest:
        return f"since {taken.at:%Y-%m-%d %H:%M}Z{signed}"
    return f"no, that is {taken.digest[:12]} since {taken.at:%Y-%m-%d %H:%M}Z{signed}"


def _bindings(policies: PolicySet) -> list[dict[str, Any]]:
    """Say how each policy is bound; one that no binding names is off."""
    if policies.bindings is None:
        return [
            {"id": "", "policy": policy.ref.name, "mode": "enforce", "rollout": "100%"} for policy in policies.policies
        ]
    bound = [
        {"id": b.id, "policy": b.policy, "mode": b.mode.value, "rollout": f"{b.written.rollout:g}%"}
        for b in policies.bindings
    ]
    named = {binding.policy for binding in policies.bindings}
    unbound = [policy.ref.name for policy in policies.policies if policy.ref.name not in named]
    return bound + [{"id": "", "policy": name, "mode": "off", "rollout": ""} for name in unbound]


def _counts(tally: Tally) -> tuple[int, int, str]:
    return tally.events, len(tally.merchants), _money(tally)


def _money(tally: Tally) -> str:
    from paycordon.events import Money

    return ", ".join(str(Money(minor=minor, currency=code)) for code, minor in sorted(tally.money.items()))


def _document(policies: PolicySet, found: Comparison, taken: Taken | None) -> Mapping[str, Any]:
    return {
        "digest": policies.digest,
        "in_force": asdict(taken) if taken else None,
        "policies": [policy.ref.model_dump(mode="json") for policy in policies.policies],
        "bindings": _bindings(policies),
        "decisions": found.decisions,
        "outcomes": found.outcomes,
        "capped": dict(found.capped),
        "rules": {
            name: {"live": _plain(tally.live), "shadow": _plain(tally.shadow)} for name, tally in found.rules.items()
        },
        "changed": [
            {"from": was.value, "to": would.value, **_plain(tally)} for (was, would), tally in found.changed.items()
        ],
    }


def _plain(tally: Tally) -> dict[str, Any]:
    return {"events": tally.events, "merchants": len(tally.merchants), "money": dict(tally.money)}
