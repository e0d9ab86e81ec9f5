"""From policy files to policies that can judge, with every complaint at its line and column."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from paycordon.decisions import Outcome, PolicyRef
from paycordon.documents import Document, Problem, document_from, error_from, problems_of, read_content
from paycordon.errors import PolicyError, Position
from paycordon.policy.bindings import bindings_from
from paycordon.policy.cel import ExpressionInvalid, Language
from paycordon.policy.document import PolicyDocument, RuleDocument, TypologyDocument, params_fixed
from paycordon.policy.lists import Items, items_from, items_of
from paycordon.policy.model import STANDING_POLICY, Policy, PolicySet, Rule, Source, Typology
from paycordon.policy.rates import RateTable, rates_from

Read = Callable[[Path], bytes]
"""Returns the bytes of a file, or raises `PolicyError`."""

Stored = Mapping[str, Items]
"""The lists that are kept in the store, by name."""

_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """Which files judge: the policies, and where they have them, their bindings and exchange rates."""

    policies: tuple[Path, ...]
    bindings: Path | None = None
    rates: Path | None = None


class _Reader:
    """Reads each file once and remembers what it said, so that all of a set is of one moment."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.content: dict[Path, bytes] = {}

    def __call__(self, path: Path) -> bytes:
        if path not in self.content:
            self.content[path] = self._read(path)
        return self.content[path]


def read_file(path: Path) -> bytes:
    """Read a policy file of at most one MiB.

    Raises:
        PolicyError: it is missing, unreadable or too big.
    """
    return read_content(path, error=PolicyError)


def load_policy(path: Path) -> Policy:
    """Read, check and compile a policy file.

    Raises:
        PolicyError: with the file, line and column of every problem found; those in an expression point into it.
    """
    return policy_from(read_file(path), path)


def policy_from(
    content: bytes,
    file: Path | str,
    *,
    read: Read = read_file,
    stored: Stored = MappingProxyType({}),
    rates: RateTable | None = None,
) -> Policy:
    """Check and compile the bytes of a policy file; otherwise as `load_policy`.

    Args:
        content: the file's bytes.
        file: its name, for positions, and where files that it names are looked for.
        read: reads those.
        stored: the lists in the store; one that is not there is empty.
        rates: exchange rates; without them no amount can be converted.
    """
    policy = examine(content, document_from(content, file, error=PolicyError), read=read, stored=stored, rates=rates)
    if isinstance(policy, Policy):
        return policy
    raise error_from(policy, PolicyError)


def load_policies(paths: Iterable[Path]) -> PolicySet:
    """Read several policy files, to be enforced on everything.

    Raises:
        PolicyError: as `load_policy`, for the first file that has problems, or for two policies of one name.
    """
    return load_set(PolicyFiles(tuple(paths)))


def load_set(files: PolicyFiles, *, read: Read = read_file, stored: Stored = MappingProxyType({})) -> PolicySet:
    """Read a whole policy set: policies, bindings, exchange rates, and the files that these name.

    Raises:
        PolicyError: as `load_policy`, for the first file that has problems, or for two policies of one name.
    """
    reader = _Reader(read)
    rates = rates_from(reader(files.rates), files.rates) if files.rates is not None else None
    policies = [policy_from(reader(path), path, read=reader, stored=stored, rates=rates) for path in files.policies]
    bindings = None
    if files.bindings is not None:
        params = {policy.ref.name: policy.params for policy in policies}
        rules = {policy.ref.name: [rule.id for rule in policy.rules] for policy in policies}
        fixed = {policy.ref.name: policy.fixed for policy in policies}
        bindings = bindings_from(reader(files.bindings), files.bindings, params, rules, fixed)
    names = {Path(policy.file): policy.ref for policy in policies}
    if bindings is not None and files.bindings is not None:
        names[files.bindings] = bindings.ref
    sources = [
        Source(names.get(path) or _ref_of(path, content, root_of(files)), path, content)
        for path, content in reader.content.items()
    ]
    in_store = sorted({name for policy in policies for name in policy.stores.values()})
    return PolicySet(policies, bindings, sources, [_ref_of_list(name, stored.get(name, {})) for name in in_store])


def root_of(files: PolicyFiles) -> Path:
    """The directory that the files of a set are named from: the same names on every machine."""
    return files.policies[0].parent


def _ref_of(path: Path, content: bytes, root: Path) -> PolicyRef:
    # With its directory: the digest of the set must change when two files of one name change places.
    name = f"file:{os.path.relpath(path, root)}"
    if len(name) > _LONGEST_NAME:
        raise PolicyError("the file's path is too long", position=Position(path), hint="move it nearer to the policies")
    return PolicyRef(name=name, version=1, digest=hashlib.sha256(content).hexdigest())


def _ref_of_list(name: str, items: Items) -> PolicyRef:
    lines = sorted(f"{value!r} {until.isoformat() if until else ''}\n" for value, until in items.items())
    return PolicyRef(name=f"list:{name}", version=1, digest=hashlib.sha256("".join(lines).encode()).hexdigest())


def examine(
    content: bytes,
    document: Document,
    *,
    read: Read = read_file,
    stored: Stored = MappingProxyType({}),
    rates: RateTable | None = None,
) -> Policy | list[Problem]:
    """Compile the document that was read from `content`, or say all that is wrong with it."""
    try:
        written = PolicyDocument.model_validate(document.data)
    except ValidationError as invalid:
        return problems_of(invalid, PolicyDocument, document)
    lists, problems = _lists(written, document, read, stored)
    aggregates = {name: each.aggregate() for name, each in written.aggregates.items()}
    wheres = [_where(rule, index, document, problems) for index, rule in enumerate(written.rules)]
    language = Language(written.params, aggregates, lists=lists, rates=rates, variables=written.variables)
    problems += _problems(written, wheres, language, document)
    if problems:
        return sorted(problems, key=lambda problem: (problem.position.line, problem.position.column))
    digest = hashlib.sha256(content).hexdigest()
    return Policy(
        ref=PolicyRef(name=written.policy, version=written.version, digest=digest),
        file=document.file,
        on_error=written.on_error,
        params=MappingProxyType(written.params),
        variables=MappingProxyType(written.variables),
        lists=MappingProxyType(lists),
        aggregates=MappingProxyType(aggregates),
        typologies=MappingProxyType({n: _typology(n, each, document) for n, each in written.typologies.items()}),
        rules=tuple(
            _rule(written, rule, where, document.position(("rules", index, "id")))
            for index, (rule, where) in enumerate(zip(written.rules, wheres, strict=True))
        ),
        language=language,
        stores=MappingProxyType({name: each.store for name, each in written.lists.items() if each.store is not None}),
        pack=written.pack,
        fixed=frozenset(params_fixed(document.part("aggregates").data)) if written.aggregates else frozenset(),
    )


def _lists(
    written: PolicyDocument, document: Document, read: Read, stored: Stored
) -> tuple[dict[str, Items], list[Problem]]:
    lists: dict[str, Items] = {}
    problems: list[Problem] = []
    for name, each in written.lists.items():
        if each.store is not None:
            lists[name] = stored.get(each.store, {})
        elif each.file is None:
            lists[name] = items_of(each)
        else:
            path = Path(document.file).parent / each.file
            try:
                lists[name] = items_from(read(path), path)
            except PolicyError as error:
                place = document.position(("lists", name, "file"))
                problems.append(Problem(error.position or place, f"list `{name}`: {error.message}", error.hint))
                lists[name] = {}  # so that the rules that use it are not complained of as well
    return lists, problems


def _where(rule: RuleDocument, index: int, document: Document, problems: list[Problem]) -> str | None:
    if rule.where is None:
        return None
    from paycordon.policy.where import WhereInvalid, compile_where

    try:
        return compile_where(rule.where)
    except WhereInvalid as invalid:
        position = document.position(("rules", index, "where", invalid.key), key=True)
        problems.append(Problem(position, f"rule `{rule.id}`: {invalid}"))
        return None


def _typology(name: str, written: TypologyDocument, document: Document) -> Typology:
    given = written.thresholds
    steps = ((given.review, Outcome.REVIEW), (given.hold, Outcome.HOLD), (given.block, Outcome.BLOCK))
    return Typology(
        name=name,
        thresholds=tuple((points, outcome) for points, outcome in steps if points is not None),
        merchant_reason=written.merchant_reason or "",
        internal_reason=written.internal_reason,
        references=written.references,
        review_after=written.review_after,
        scope=written.scope,
        position=document.position(("typologies", name), key=True),
    )


def _rule(policy: PolicyDocument, rule: RuleDocument, where: str | None, position: Position) -> Rule:
    own = rule.child_protection
    return Rule(
        policy=policy.policy,
        id=rule.id,
        on=frozenset(rule.on),
        when=rule.when,
        where=where,
        unless=rule.unless,
        then=rule.then,
        adds=MappingProxyType(rule.adds),
        merchant_reason=rule.merchant_reason or "",
        internal_reason=rule.internal_reason,
        references=rule.references,
        review_after=rule.review_after or policy.review_after,
        scope=rule.scope,
        child_protection=policy.child_protection if own is None else own,
        position=position,
        status=rule.status or policy.status,
        weight=rule.weight or policy.weight,
        false_positives=rule.false_positives,
    )


def _problems(
    written: PolicyDocument, wheres: Sequence[str | None], language: Language, document: Document
) -> Iterator[Problem]:
    if written.policy == STANDING_POLICY:
        yield Problem(document.position(("policy",)), f"the name `{STANDING_POLICY}` is the engine's own")
    for name, faults in language.variable_faults.items():
        for fault in faults:
            position = document.position_in(("variables", name), fault.line, fault.column)
            yield Problem(position, f"variable `{name}`: {fault.message}", fault.hint)
    first: dict[str, int] = {}
    for index, rule in enumerate(written.rules):
        at = ("rules", index)
        if first.setdefault(rule.id, index) != index:
            line = document.position(("rules", first[rule.id], "id")).line
            position = document.position((*at, "id"))
            yield Problem(position, f"the rule id `{rule.id}` is given twice", f"first on line {line}")
        for name in rule.adds:
            if name not in written.typologies:
                position = document.position((*at, "adds", name), key=True)
                yield Problem(
                    position, f"rule `{rule.id}`: there is no typology `{name}`", "declare it in `typologies`"
                )
        yield from _faults(rule, wheres[index], at, language, document)


def _faults(
    rule: RuleDocument, where: str | None, at: tuple[str | int, ...], language: Language, document: Document
) -> Iterator[Problem]:
    for key, source in (("when", rule.when), ("where", where), ("unless", rule.unless)):
        if source is None:
            continue
        try:
            language.check(source)
        except ExpressionInvalid as invalid:
            for fault in invalid.faults:
                # What `where` was turned into is nowhere in the file.
                position = (
                    document.position((*at, "where"), key=True)
                    if key == "where"
                    else document.position_in((*at, key), fault.line, fault.column)
                )
                yield Problem(position, f"rule `{rule.id}`: {fault.message}", fault.hint)
