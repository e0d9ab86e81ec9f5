"""What the simulator takes is what Adyen's descriptions of its API say: `requests.json` is drawn from them.

`python test_descriptions.py` writes it anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from paycordon_adyen.simulator import described
from paycordon_adyen.simulator.routes import ROUTES

SERVICES = {
    "/bcl/v2": "BalancePlatformService-v2",
    "/btl/v4": "TransferService-v4",
    "/lem/v4": "LegalEntityService-v4",
    "/ca/services/DisputeService/v30": "DisputeService-v30",
}
KEPT = {"type", "enum", "required", "additionalProperties", "maxLength", "minLength", "minimum", "maximum"}


def specs_folder() -> Path | None:
    named = os.environ.get("PAYCORDON_SPECS")
    found = Path(named) if named else Path(__file__).resolve().parents[5] / "shared" / "specs"
    return found / "adyen" if (found / "adyen").is_dir() else None


def drawn(folder: Path) -> dict[str, Any]:
    """Return the bodies and queries that the simulator's routes take, and the schemas they need."""
    made: dict[str, Any] = {"operations": {}, "schemas": {}}
    specs = {prefix: json.loads((folder / f"{name}.json").read_text()) for prefix, name in SERVICES.items()}
    for route in ROUTES:
        service = next(prefix for prefix in SERVICES if route.path.startswith(prefix + "/"))
        spec = specs[service]
        operation = _operation(spec, route.method, route.path.removeprefix(service))
        draw = _Drawing(service.split("/")[1], spec, made["schemas"])
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        query = {p["name"]: draw.reduced(p["schema"]) for p in operation["parameters"] if p["in"] == "query"}
        needed = [p["name"] for p in operation["parameters"] if p["in"] == "query" and p.get("required")]
        made["operations"][f"{route.method} {route.path}"] = {
            **({"body": draw.reduced(body)} if body else {}),
            **({"query": query} if query else {}),
            **({"needed": needed} if needed else {}),
        }
    return made


def _operation(spec: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    for known, operations in spec["paths"].items():
        pattern = "/".join("*" if part.startswith("{") else part for part in known.split("/"))
        if pattern == path and method.lower() in operations:
            operation = operations[method.lower()]
            parameters = [_resolved(spec, each) for each in operation.get("parameters", [])]
            return {**operation, "parameters": parameters}
    raise AssertionError(f"the description does not know {method} {path}")


def _resolved(spec: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    for part in value["$ref"].split("/")[1:] if "$ref" in value else ():
        spec = spec[part]
    return spec if "$ref" in value else value


class _Drawing:
    def __init__(self, service: str, spec: dict[str, Any], schemas: dict[str, Any]) -> None:
        self._service, self._spec, self._schemas = service, spec, schemas

    def reduced(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            key = f"{self._service}.{name}"
            if key not in self._schemas:
                self._schemas[key] = {}
                self._schemas[key].update(self.reduced(self._spec["components"]["schemas"][name]))
            return {"$ref": key}
        made = {name: value for name, value in schema.items() if name in KEPT}
        if isinstance(made.get("additionalProperties"), dict):
            made["additionalProperties"] = self.reduced(made["additionalProperties"])
        if "properties" in schema:
            made["properties"] = {name: self.reduced(inner) for name, inner in schema["properties"].items()}
        if "items" in schema:
            made["items"] = self.reduced(schema["items"])
        for several in ("oneOf", "anyOf", "allOf"):
            if several in schema:
                made[several] = [self.reduced(inner) for inner in schema[several]]
        return made


def test_what_the_simulator_takes_is_what_adyen_describes():
    folder = specs_folder()
    if folder is None:
        pytest.skip("the vendors' API descriptions are not here; set PAYCORDON_SPECS to their folder")
    assert json.loads(described.FILE.read_text()) == drawn(folder)


if __name__ == "__main__":
    described.FILE.write_text(json.dumps(drawn(specs_folder() or Path()), separators=(",", ":"), sort_keys=True) + "\n")
