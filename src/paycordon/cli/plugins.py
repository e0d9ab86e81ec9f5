"""`paycordon plugins`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import JsonOption
from paycordon.cli.output import print_fields, print_json, print_line, print_table
from paycordon.errors import NotFound

if TYPE_CHECKING:
    from pydantic import BaseModel

    from paycordon.plugins import Plugins


def plugins(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show one check, adapter or format only.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is installed: checks with their codes and settings, gateway adapters with what they can do."""
    from paycordon.plugins import load_all

    found = described(load_all())
    if name is not None:
        found = _only(found, name)
    if as_json:
        print_json(found)
        return
    if found.get("plugins"):
        rows = [(p["name"], p["distribution"], p["version"]) for p in found["plugins"]]
        print_table(("plugin", "distribution", "version"), rows, title="Plugins")
    for check in found["checks"]:
        _show_check(check)
    for adapter in found["adapters"]:
        _show_adapter(adapter)
    if found["feeds"]:
        rows = [(f["format"], f["about"], ", ".join(s["name"] for s in f["settings"])) for f in found["feeds"]]
        print_table(("format of feeds", "reads", "settings"), rows, title="Feeds")
    if found["recipients"]:
        told = [(r["format"], r["about"], ", ".join(r["verbs"]), ", ".join(r["kinds"])) for r in found["recipients"]]
        print_table(("format of recipients", "tells", "verbs", "kinds"), told, title="Recipients")
    if found["inquiries"]:
        rows = [(i["format"], i["about"], ", ".join(s["name"] for s in i["settings"])) for i in found["inquiries"]]
        print_table(("format of inquiries", "asks", "settings"), rows, title="Inquiries")
    if name is None and not found["adapters"]:
        print_line("no gateway adapter is installed; try `pip install paycordon-stripe`")


def described(plugins: Plugins) -> dict[str, Any]:
    """Describe plugins, checks and adapters as JSON-like values."""
    return {
        "plugins": [
            {"name": each.name, "distribution": each.distribution, "version": each.version}
            for each in plugins.installed
        ],
        "checks": [
            {
                "id": check.id,
                "about": inspect.getdoc(type(check)) or "",
                "emits": dict(check.emits),
                "settings": _settings(check.settings_type),
            }
            for check in plugins.checks.values()
        ],
        "adapters": [
            {
                "name": name,
                "about": inspect.getdoc(kind) or "",
                "capabilities": [
                    {
                        "restriction": restriction.value,
                        "grade": support.grade.value,
                        "how": support.how,
                        "reversible": support.reversible,
                        "limits": support.limits,
                        "clock": support.clock,
                    }
                    for restriction, support in kind.capabilities.items()
                ],
                "acts": [
                    {
                        "act": act_name,
                        "grade": act.support.grade.value,
                        "how": act.support.how,
                        "undone_by": act.undone_by,
                        "two_people": act.two_people,
                        "limits": act.support.limits,
                        "parameters": _settings(act.parameters),
                    }
                    for act_name, act in kind.acts.items()
                ],
                "settings": _settings(kind.settings_type),
            }
            for name, kind in plugins.gateways.items()
        ],
        "feeds": [
            {"format": name, "about": kind.about, "settings": _settings(kind.settings_type)}
            for name, kind in plugins.feeds.items()
        ],
        "recipients": [
            {
                "format": name,
                "about": kind.about,
                "verbs": sorted(kind.verbs),
                "kinds": sorted(kind.kinds),
                "settings": _settings(kind.settings_type),
            }
            for name, kind in plugins.recipients.items()
        ],
        "inquiries": [
            {"format": name, "about": kind.about, "settings": _settings(kind.settings_type)}
            for name, kind in plugins.inquiries.items()
        ],
    }


def _only(found: dict[str, Any], name: str) -> dict[str, Any]:
    checks = [check for check in found["checks"] if check["id"] == name]
    adapters = [adapter for adapter in found["adapters"] if adapter["name"] == name]
    feeds = [feed for feed in found["feeds"] if feed["format"] == name]
    recipients = [recipient for recipient in found["recipients"] if recipient["format"] == name]
    inquiries = [inquiry for inquiry in found["inquiries"] if inquiry["format"] == name]
    if not (checks or adapters or feeds or recipients or inquiries):
        raise NotFound(f"there is no check, adapter or format `{name}` (`paycordon plugins` lists them)")
    formats = {"feeds": feeds, "recipients": recipients, "inquiries": inquiries}
    return {"checks": checks, "adapters": adapters, **formats}


def _settings(model: type[BaseModel]) -> list[dict[str, Any]]:
    """List the settings of a model: name, type, default, whether it is required, what it means."""
    schema = model.model_json_schema()
    told = _attributes(model)
    return (
        [
            {
                "name": name,
                "type": _type_name(part, schema.get("$defs", {})),
                "required": name in schema.get("required", ()),
                "default": part.get("default"),
                "description": part.get("description") or told.get(name, ""),
            }
            for name, part in schema["properties"].items()
        ]
        if schema.get("properties")
        else []
    )


def _type_name(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Name the type of a JSON Schema in a few words."""
    if "$ref" in part:
        return _type_name(definitions.get(part["$ref"].rsplit("/", 1)[-1], {}), definitions)
    if "enum" in part:
        return " | ".join(str(value) for value in part["enum"])
    if "anyOf" in part:
        return " | ".join(dict.fromkeys(_type_name(each, definitions) for each in part["anyOf"]))
    if part.get("format") == "password":
        return "secret (env: or file:)"
    if part.get("type") == "array":
        items: Mapping[str, Any] = part.get("items") or next(iter(part.get("prefixItems", ())), {})
        return f"list of {_type_name(items, definitions)}"
    return str(part.get("type", "any"))


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """Read the `Attributes:` section of a docstring, where adapters document their settings."""
    section = (inspect.getdoc(model) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _show_check(check: Mapping[str, Any]) -> None:
    print_line(f"check {check['id']}")
    print_line(f"  {' '.join(check['about'].split())}")
    print_fields({f"  {code}": sentence for code, sentence in check["emits"].items()})
    _show_settings(check["settings"])


def _show_adapter(adapter: Mapping[str, Any]) -> None:
    print_line(f"adapter {adapter['name']}")
    print_line(f"  {' '.join(adapter['about'].split())}")
    print_table(
        ("restriction", "grade", "how", "undone", "limits", "ended by the gateway"),
        [_capability_row(each) for each in adapter["capabilities"]],
    )
    if adapter["acts"]:
        print_table(
            ("act of people", "grade", "how", "undone by", "people", "takes", "limits"),
            [_act_row(act) for act in adapter["acts"]],
        )
    _show_settings(adapter["settings"])


def _capability_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    undone = "exactly" if found["reversible"] else "not exactly"
    return (found["restriction"], found["grade"], found["how"], undone, found["limits"], found["clock"] or "never")


def _act_row(act: Mapping[str, Any]) -> tuple[str, ...]:
    if act["grade"] == "impossible":
        return (act["act"], act["grade"], act["how"], "", "", "", act["limits"])
    people = "two" if act["two_people"] else "one"
    takes = "; ".join(f"{each['name']}{'' if each['required'] else '?'}: {each['type']}" for each in act["parameters"])
    return (act["act"], act["grade"], act["how"], act["undone_by"] or "nothing", people, takes, act["limits"])


def _show_settings(settings: list[dict[str, Any]]) -> None:
    if settings:
        rows = [
            (s["name"], s["type"], "required" if s["required"] else s["default"], s["description"]) for s in settings
        ]
        print_table(("setting", "type", "default", "meaning"), rows)
    else:
        print_line("")
