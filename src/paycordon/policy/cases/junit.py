"""The results of tests as JUnit XML, which build servers show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from paycordon.policy.cases.model import CaseResult


def junit(results: Iterable[tuple[str, Sequence[CaseResult]]]) -> bytes:
    """Write one suite for each file, given by its name with its results."""
    root = ElementTree.Element("testsuites")
    for file, every in results:
        failures = sum(not result.passed for result in every)
        suite = ElementTree.SubElement(root, "testsuite", name=file, tests=str(len(every)), failures=str(failures))
        for result in every:
            place = result.case.position
            case = ElementTree.SubElement(
                suite, "testcase", name=_clean(result.case.name), classname=file, file=file, line=str(place.line)
            )
            if not result.passed:
                lines = [f"{each.what}: expected {each.expected}, got {each.got}" for each in result.differences]
                failure = ElementTree.SubElement(case, "failure", message=_clean(lines[0]))
                failure.text = _clean("\n".join(lines))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _clean(text: str) -> str:
    """Leave out what XML does not allow."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
