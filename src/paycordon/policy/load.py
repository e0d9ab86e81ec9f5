"""From a policy file to a policy that can judge, with every complaint at its line and column."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from paycordon.decisions import PolicyRef
from paycordon.documents import Document, Problem, document_from, error_from, problems_of, read_content
from paycordon.errors import PolicyError
from paycordon.policy.cel import ExpressionInvalid, Language
from paycordon.policy.document import PolicyDocument, RuleDocument
from paycordon.policy.model import STANDING_POLICY, Policy, PolicySet, Rule


def load_policy(path: Path) -> Policy:
    """Read, check and compile a policy file.

    Raises:
        PolicyError: with the file, line and column of every problem found; those in an expression point into it.
    """
    return policy_from(read_content(path, error=PolicyError), path)


def policy_from(content: bytes, file: Path | str) -> Policy:
    """Check and compile the bytes of a policy file; otherwise as `load_policy`."""
    policy = examine(content, document_from(content, file, error=PolicyError))
    if isinstance(policy, Policy):
        return policy
    raise error_from(policy, PolicyError)


def examine(content: bytes, document: Document) -> Policy | list[Problem]:
    """Compile the document that was read from `content`, or say all that is wrong with it."""
    try:
        written = PolicyDocument.model_validate(document.data)
    except ValidationError as invalid:
        return problems_of(invalid, PolicyDocument, document)
    language = Language(written.params, written.aggregates)
    problems = [*_problems(written, language, document)]
    if problems:
        return problems
    digest = hashlib.sha256(content).hexdigest()
    return Policy(
        ref=PolicyRef(name=written.policy, version=written.version, digest=digest),
        file=document.file,
        on_error=written.on_error,
        aggregates=MappingProxyType({name: each.aggregate() for name, each in written.aggregates.items()}),
        rules=tuple(_rule(written.policy, rule, index, document) for index, rule in enumerate(written.rules)),
        language=language,
    )


def load_policies(paths: Iterable[Path]) -> PolicySet:
    """Read several policy files.

    Raises:
        PolicyError: as `load_policy`, for the first file that has problems, or for two policies of one name.
    """
    return PolicySet([load_policy(path) for path in paths])


def _rule(policy: str, rule: RuleDocument, index: int, document: Document) -> Rule:
    return Rule(
        policy=policy,
        id=rule.id,
        on=frozenset(rule.on),
        when=rule.when,
        then=rule.then,
        merchant_reason=rule.merchant_reason or "",
        internal_reason=rule.internal_reason,
        references=rule.references,
        position=document.position(("rules", index, "id")),
    )


def _problems(written: PolicyDocument, language: Language, document: Document) -> Iterator[Problem]:
    if written.policy == STANDING_POLICY:
        yield Problem(document.position(("policy",)), f"the name `{STANDING_POLICY}` is the engine's own")
    first: dict[str, int] = {}
    for index, rule in enumerate(written.rules):
        if first.setdefault(rule.id, index) != index:
            line = document.position(("rules", first[rule.id], "id")).line
            position = document.position(("rules", index, "id"))
            yield Problem(position, f"the rule id `{rule.id}` is given twice", f"first on line {line}")
        yield from _faults(rule, index, language, document)


def _faults(rule: RuleDocument, index: int, language: Language, document: Document) -> Iterator[Problem]:
    try:
        language.check(rule.when)
    except ExpressionInvalid as invalid:
        for fault in invalid.faults:
            position = document.position_in(("rules", index, "when"), fault.line, fault.column)
            yield Problem(position, f"rule `{rule.id}`: {fault.message}", fault.hint)
