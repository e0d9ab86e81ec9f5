"""`paycordon policy packs` and `paycordon policy install`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_fields, print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.policy import Policy, PolicyFiles, Rule


def packs(
    name: Annotated[str | None, typer.Argument(metavar="[PACK]", help="Show the rules of this one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the policy packs that are shipped, or show one: its rules, how far to trust them, whom they meet wrongly."""
    from paycordon.policy.packs import pack, pack_names

    if name is not None:
        policy = pack(name)
        if as_json:
            print_json(_document(policy))
        else:
            _show(policy)
        return
    policies = [pack(each) for each in pack_names()]
    if as_json:
        print_json([_document(policy) for policy in policies])
        return
    rows = [(policy.ref.name, _source(policy), _statuses(policy)) for policy in policies]
    print_table(("pack", "source", "rules"), rows)
    print_line("next: `paycordon policy packs PACK`, `paycordon policy rates PACK`, `paycordon policy install PACK`")


def install(
    name: Annotated[str, typer.Argument(metavar="PACK", help="Which; `paycordon policy packs` lists them.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Only copy it into this directory, whatever that is.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Copy a pack and its tests among the policies of the configuration, in shadow; from then on it is your own."""
    from paycordon.policy.packs import install as copy

    if to is not None:
        made, line = copy(name, to), None
    else:
        files = read_config(config).policy_files()
        directory = _directory(files, config)
        bindings = None if files.bindings else _shadow(name, files, directory)
        made = [*([bindings] if bindings else []), *copy(name, directory)]
        line = None if bindings else f"  - {{id: {name}, policy: {name}, mode: shadow}}"
    if as_json:
        print_json({"created": [str(path) for path in made], "to_be_bound": line is not None})
        return
    for path in made:
        print_line(f"created {path}")
    if line is not None:
        print_line("it judges nothing until the bindings name it; in shadow nobody is held for it:")
        print_line(line)
    print_line("next: paycordon policy lint, paycordon policy test, and after some days paycordon policy status")


def _directory(files: PolicyFiles, config: Path) -> Path:
    """The first directory of policies that the configuration names."""
    from paycordon.errors import ConfigError

    named = read_config(config)
    found = next((path.parent for path in files.policies if not named.names(path)), None)
    if found is None:
        raise ConfigError("the configuration names no directory of policies", hint="say where with `--to`")
    return found


def _shadow(name: str, files: PolicyFiles, directory: Path) -> Path:
    """Write bindings that leave in force what is, and the pack in shadow; without any, it would be in force at once.

    Raises:
        ConfigError: there is no such pack.
        PolicyError: a policy cannot be loaded, or the file cannot be written.
    """
    from paycordon.config import BINDINGS_FILE
    from paycordon.errors import PolicyError, Position
    from paycordon.policy import load_set
    from paycordon.policy.packs import pack

    pack(name)
    path = directory / BINDINGS_FILE
    names = [policy.ref.name for policy in load_set(files).policies]
    lines = [f"  - {{id: {each}, policy: {each}, mode: enforce}}" for each in names]
    text = "\n".join(
        [
            "# Where policies apply and how hard: what was in force before stays so. Caps say how much a mistake may",
            "# stop, such as `caps: {holds_per_hour: 50}`.",
            "bindings:",
            *lines,
            f"  - {{id: {name}, policy: {name}, mode: shadow}}",
            "",
        ]
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise PolicyError(f"cannot be written: {reason}", position=Position(path)) from None
    return path


def _show(policy: Policy) -> None:
    written = policy.pack
    if written is not None:
        where = ", ".join(written.jurisdictions) or "everywhere"
        print_fields({"pack": policy.ref.name, "source": written.source, "for": where, "review by": written.review_by})
    rows = [
        (rule.id, _says(rule), rule.weight, rule.status, ", ".join(rule.false_positives), "\n".join(rule.references))
        for rule in policy.rules
    ]
    print_table(("rule", "says", "weight", "status", "known to meet wrongly", "from"), rows)
    thresholds = [
        (typology.name, ", ".join(f"{outcome} from {points}" for points, outcome in typology.thresholds))
        for typology in policy.typologies.values()
    ]
    if thresholds:
        print_table(("typology", "points"), thresholds)
    if written is not None and written.left_out:
        print_table(("left out",), [(each,) for each in written.left_out])


def _says(rule: Rule) -> str:
    points = [f"{points:+} {typology}" for typology, points in rule.adds.items()]
    return ", ".join([*([str(rule.then)] if rule.then else []), *points])


def _source(policy: Policy) -> str:
    return policy.pack.source if policy.pack else ""


def _statuses(policy: Policy) -> str:
    counted = Counter(str(rule.status) for rule in policy.rules)
    return ", ".join(f"{number} {status}" for status, number in sorted(counted.items()))


def _document(policy: Policy) -> dict[str, Any]:
    return {
        "pack": policy.ref.name,
        "version": policy.ref.version,
        **(policy.pack.model_dump(mode="json") if policy.pack else {}),
        "rules": [
            {
                "id": rule.id,
                "says": _says(rule),
                "weight": rule.weight,
                "status": rule.status,
                "false_positives": list(rule.false_positives),
                "references": list(rule.references),
            }
            for rule in policy.rules
        ],
    }
