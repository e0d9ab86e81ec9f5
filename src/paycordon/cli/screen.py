"""`paycordon screen`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_fields, print_json, print_line
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from paycordon.decisions import Decision, RuleMatch
    from paycordon.events import Event


def screen(
    source: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="Events as JSON: one object, or one a line; `-` is stdin.")
    ] = Path("-"),
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Screen events and print what was decided. Exits with 1 when anything is held or blocked.

    All events are read and validated first: if one is malformed, none is screened.
    """
    from paycordon.cli.inputs import read_events
    from paycordon.doctor import require_writable
    from paycordon.errors import StoreUnavailable
    from paycordon.screening import Cordon

    loaded = read_config(config)
    events = read_events(source)
    cordon = Cordon.from_loaded(loaded)
    stopped = False
    try:
        require_writable(cordon.store)  # a store that cannot be written is an error here, not an outcome
        for event in events:
            decision = cordon.screen(event)
            if decision.id.startswith("unrecorded_"):
                raise StoreUnavailable(f"event `{event.id}` was not screened, nor any after it; give them again later")
            stopped |= decision.outcome.stops
            _print(event, decision, as_json=as_json)
    finally:
        cordon.close()
    return FINDINGS if stopped else 0


def _print(event: Event, decision: Decision, *, as_json: bool) -> None:
    if as_json:
        print_json(decision.model_dump(mode="json"))
        return
    print_line(f"{event.type} {event.id} at {event.instance}: {decision.outcome}")
    print_fields(described(decision))


def described(decision: Decision) -> dict[str, object]:
    """Say what a decision concluded and why, as names and texts; nothing of it is meant for the merchant but one."""
    return {
        "  decision": decision.id,
        "  merchant": decision.merchant,
        "  told to merchant": decision.merchant_reason or None,
        "  rules": _lines(_rule(match) for match in decision.matches),
        "  findings": _lines(
            f"{f.code} {f.confidence:.2f}  " + ", ".join(f"{k}={v}" for k, v in f.evidence.items())
            for f in decision.findings
        ),
        "  aggregates": _lines(f"{name} = {value}" for name, value in decision.aggregates.items()),
        "  check errors": _lines(f"{e.check}: {e.kind} {e.detail}".rstrip() for e in decision.errors),
        "  rule errors": _lines(f"{e.policy}/{e.rule}: {e.detail}" for e in decision.rule_errors),
    }


def _rule(match: RuleMatch) -> str:
    snoozed = f" (says {match.limited}, snoozed by {match.snoozed})" if match.snoozed else ""
    return f"{match.policy}/{match.rule} → {match.outcome}{snoozed}  {match.internal_reason}".rstrip()


def _lines(texts: Iterable[str]) -> str | None:
    return "\n".join(texts) or None
