"""`paycordon policy explain`. Internal: it shows evidence, sources and thresholds, and none of that may go outwards."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import plain, print_json, print_note

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.decisions import Decision, Outcome, PolicyRef
    from paycordon.events import Event
    from paycordon.policy import PolicySet
    from paycordon.policy.explain import Explanation
    from paycordon.store import Store


def explain(
    what: Annotated[
        str, typer.Argument(metavar="DECISION|EVENT", help="A decision's id, or a file with one event as JSON.")
    ],
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw the rules into this file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show rules that did not match in full.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Say why an event was decided as it was, and what would have had to differ for another outcome.

    A decision is explained from what was recorded, by the texts that judged then. An event is only tried, under the
    policy files as they are, and nothing is recorded. For the risk team only: it names evidence and thresholds.
    """
    from paycordon.policy.explain import document_of, picture_of
    from paycordon.store import Store

    loaded = read_config(config)
    store = Store.open(loaded.store)
    try:
        found = _of_event(loaded, store, Path(what)) if _is_file(what) else _of_decision(loaded, store, what)
    finally:
        store.close()
    if svg is not None:
        svg.write_bytes(picture_of(found))
        print_note(f"the picture is in {svg}; it is internal")
    if as_json:
        print_json(document_of(found))
    else:
        _print(found, every=every)
    return 0


def _is_file(what: str) -> bool:
    return what == "-" or what.endswith((".json", ".jsonl")) or Path(what).is_file()


def _of_decision(config: Config, store: Store, decision_id: str) -> Explanation:
    from paycordon.store.decisions import event_of, get

    with store.read() as connection:
        decision = get(connection, decision_id)
        event = event_of(connection, decision.instance, decision.event_id)
    policies, gone = _judging(config, store, decision)
    return _explained(policies, event, decision, decision, gone)


def _of_event(config: Config, store: Store, file: Path) -> Explanation:
    """Try an event under the files as they are; nothing is recorded, the policies do not come into force by it."""
    from paycordon.cli.inputs import InputInvalid, read_events
    from paycordon.errors import Position
    from paycordon.plugins import load as load_plugins
    from paycordon.screening import Cordon

    events = read_events(file)
    if len(events) != 1:
        raise InputInvalid("exactly one event is explained at a time", position=Position(file))
    digester = config.digester()
    policies = _current(config, store)
    cordon = Cordon(store, policies, load_plugins(config), digester)
    try:
        decision = cordon.preview(events[0])
    finally:
        cordon.close()
    if not decision.id.startswith("unrecorded_"):
        print_note(f"this event was decided before, as {plain(decision.id)}; that decision is explained")
        return _of_decision(config, store, decision.id)
    return _explained(policies, digester.conceal(events[0]), decision, None, ())


def _explained(
    policies: PolicySet, event: Event, inputs: Decision, recorded: Decision | None, gone: tuple[PolicyRef, ...]
) -> Explanation:
    from paycordon.policy.explain import explain as explain_it

    return explain_it(
        policies,
        event,
        inputs.findings,
        {name: value for name, value in inputs.aggregates.items() if isinstance(value, int | float)},
        check_errors=inputs.errors,
        standing=_standing(inputs),
        merchant=inputs.merchant,
        decision=recorded,
        gone=gone,
    )


def _standing(decision: Decision) -> Outcome:
    from paycordon.decisions import Outcome
    from paycordon.policy.evaluate import STANDING_HOLD
    from paycordon.policy.model import STANDING_POLICY

    holds = (m for m in decision.matches if (m.policy, m.rule) == (STANDING_POLICY, STANDING_HOLD))
    return Outcome.most_severe(*(each.limited or each.outcome for each in holds))


def _current(config: Config, store: Store) -> PolicySet:
    from paycordon.policy import load_set
    from paycordon.store.lists import StoredLists

    with store.read() as connection:
        return load_set(config.policy_files(), stored=StoredLists(connection))


def _judging(config: Config, store: Store, decision: Decision) -> tuple[PolicySet, tuple[PolicyRef, ...]]:
    """The policies that judged a decision, and what of them is gone: from the files, or as the store kept them."""
    from paycordon.errors import ConfigError, NotFound

    digest = _digest_of(decision)
    try:
        current: PolicySet | None = _current(config, store)
    except ConfigError:
        current = None
    judged = current if current is not None and current.digest == digest else _kept(config, store, digest)
    if judged is None and current is None:
        raise NotFound("the texts that judged are gone, and the policy files cannot be read; see `policy lint`")
    found = judged or current
    assert found is not None  # noqa: S101 - one of the two is there
    # A list in the store may hold something else by now, even where all files are the same.
    return found, tuple(ref for ref in decision.policies if ref not in found.refs)


def _kept(config: Config, store: Store, digest: str) -> PolicySet | None:
    from paycordon.errors import NotFound, PolicyError
    from paycordon.policy.load import root_of
    from paycordon.store import policies as kept
    from paycordon.store.lists import StoredLists

    with store.read() as connection:
        try:
            root = root_of(config.policy_files())
            return kept.load(connection, kept.named(connection, digest), root, stored=StoredLists(connection))
        except (NotFound, PolicyError):
            return None


def _digest_of(decision: Decision) -> str:
    """The digest of the set that judged, see `PolicySet.digest`."""
    files = (ref for ref in decision.policies if not ref.name.startswith("list:"))
    lines = sorted(f"{ref.name} {ref.digest}\n" for ref in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


_COLOURS = {
    "title": "bold",
    "dim": "dim",
    "warning": "yellow",
    "true": "green",
    "false": "",
    "none": "yellow",
    "allow": "green",
    "review": "cyan",
    "hold": "yellow",
    "block": "red",
}


def _print(explanation: Explanation, *, every: bool) -> None:
    from rich.text import Text

    from paycordon.cli.output import console
    from paycordon.policy.explain import lines_of

    out = console()
    for line in lines_of(explanation, every=every):
        out.print(Text(f"{'  ' * line.depth}{plain(line.text)}", style=_COLOURS.get(line.kind, "")), soft_wrap=True)
