"""Issues as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html), for code scanning.

What comments ignore is there as suppressed results with their reasons. Fingerprints do not depend on lines, so an issue
is recognised after the file has grown above it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from urllib.parse import quote

from pydantic import JsonValue

from paycordon.policy.lint.issues import ISSUES, Issue, Severity, explanation, severity_of
from paycordon.policy.lint.run import Files, Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT = "ROOT"
_LEVELS = {Severity.BUG: "error", Severity.RISK: "warning", Severity.STYLE: "note"}
_IDS = sorted(ISSUES)
_LINE = re.compile(r"line \d+")


def sarif(report: Report, files: Files, root: Path, version: str) -> dict[str, JsonValue]:
    """Make one log of one run.

    Args:
        report: what was found.
        files: what was looked at.
        root: the directory that places in the log are relative to, mostly that of the repository.
        version: the version of this package.
    """
    results = [_result(issue, root) for issue in report.issues]
    results += [_result(issue, root, reason) for issue, reason in report.ignored]
    _number_equal_ones(results)
    artifacts: list[JsonValue] = [{"location": _location(path, root)} for path in files]
    driver: dict[str, JsonValue] = {
        "name": "paycordon policy lint",
        "version": version,
        "rules": [_rule(id_) for id_ in _IDS],
    }
    run: dict[str, JsonValue] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {ROOT: {"uri": root.resolve().as_uri().rstrip("/") + "/"}},
        "artifacts": artifacts,
        "results": list(results),
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(id_: str) -> JsonValue:
    severity = severity_of(id_)
    return {
        "id": id_,
        "shortDescription": {"text": ISSUES[id_]},
        "help": {"text": explanation(id_), "markdown": explanation(id_)},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"tags": ["policy", severity.value]},
    }


def _result(issue: Issue, root: Path, reason: str | None = None) -> dict[str, JsonValue]:
    place = issue.position
    location = _location(Path(place.file), root)
    result: dict[str, JsonValue] = {
        "ruleId": issue.id,
        "ruleIndex": _IDS.index(issue.id),
        "level": _LEVELS[issue.severity],
        "message": {"text": issue.message + (f" ({issue.hint})" if issue.hint else "")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": location,
                    "region": {"startLine": place.line, "startColumn": place.column},
                }
            }
        ],
        "partialFingerprints": {"issue/v1": _fingerprint(issue, str(location["uri"]))},
    }
    if reason is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": reason}]
    return result


def _location(path: PurePath, root: Path) -> dict[str, JsonValue]:
    """A path below the root is relative to it; any other is absolute."""
    whole = Path(path).resolve()
    if whole.is_relative_to(root.resolve()):
        return {"uri": quote(whole.relative_to(root.resolve()).as_posix()), "uriBaseId": ROOT}
    return {"uri": whole.as_uri()}


def _fingerprint(issue: Issue, uri: str) -> str:
    message = _LINE.sub("line", issue.message)
    return hashlib.sha256(f"{issue.id}\n{uri}\n{message}".encode()).hexdigest()


def _number_equal_ones(results: Iterable[dict[str, JsonValue]]) -> None:
    """Tell issues apart that say the same of one file, by their order."""
    seen: Counter[str] = Counter()
    for result in results:
        prints = result["partialFingerprints"]
        if isinstance(prints, dict):
            print_ = str(prints["issue/v1"])
            seen[print_] += 1
            prints["issue/v1"] = f"{print_}:{seen[print_]}"
