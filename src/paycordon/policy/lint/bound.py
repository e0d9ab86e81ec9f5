"""Bindings that do nothing or too much."""

from __future__ import annotations

from collections.abc import Iterator

from paycordon.documents import did_you_mean
from paycordon.policy.bindings import Binding, BindingMode
from paycordon.policy.lint.formula import Formula, Reader
from paycordon.policy.lint.issues import Issue
from paycordon.policy.lint.logic import impossible
from paycordon.policy.lint.subject import BindingsSubject, Known, PolicySubject, expression
from paycordon.policy.syntax import Node


def unbound(policy: PolicySubject) -> Iterator[Issue]:
    """Find P115."""
    if policy.bound == ():
        message = f"the policy `{policy.policy.ref.name}` judges nothing: no binding names it"
        yield policy.issue("P115", ("policy",), message, "add one to `bindings.yaml`, in shadow for a start")


def issues(subject: BindingsSubject, known: Known) -> Iterator[Issue]:
    """Find P101, P116, P117, P120, P121 and P208 in bindings."""
    used: set[str] = set()
    for index, binding in subject.entries:
        used.update(binding.written.segments)
        at = ("bindings", index)
        yield from _idle(subject, binding, at, known)
        yield from _overrides(subject, binding, at)
        yield from _names(subject, binding, at, known)
        if binding.mode is BindingMode.ENFORCE and binding.written.caps is None:
            message = f"binding `{binding.id}` is in force without caps"
            hint = "write `caps: {holds_per_hour: 50, blocks_per_hour: 5}` with numbers of your own"
            yield subject.issue("P208", (*at, "mode"), message, hint)
    for name in subject.data.get("segments") or ():
        if name not in used:
            yield subject.issue("P117", ("segments", name), f"the segment `{name}` is not used", "leave it out")


def _idle(subject: BindingsSubject, binding: Binding, at: tuple[str | int, ...], known: Known) -> Iterator[Issue]:
    written = binding.written
    if known.now is not None and written.until is not None and written.until <= known.now:
        message = f"binding `{binding.id}` never applies any more: `until` is in the past"
        yield subject.issue("P116", (*at, "until"), message, "extend it or leave it out")
    elif _selects_nothing(subject, binding):
        message = f"binding `{binding.id}` never applies: its conditions contradict each other"
        yield subject.issue("P116", (*at, "id"), message, "`when` and all `segments` have to hold together")


def _selects_nothing(subject: BindingsSubject, binding: Binding) -> bool:
    segments = subject.data.get("segments") or {}
    sources = [segments[name] for name in binding.written.segments]
    if binding.written.when is not None:
        sources.append(binding.written.when)
    read = [expression((), source, subject.document) for source in sources]
    reader = Reader({})
    return impossible([reader.read(each.tree) for each in read if each is not None], _anything)


def _anything(_: Node) -> tuple[Formula, ...]:
    return ()


def _overrides(subject: BindingsSubject, binding: Binding, at: tuple[str | int, ...]) -> Iterator[Issue]:
    params = subject.policies[binding.policy].params
    for name, value in binding.written.params.items():
        if params.get(name) == value and type(params.get(name)) is type(value):
            message = f"binding `{binding.id}` sets `{name}` to what the policy says already"
            yield subject.issue("P120", (*at, "params", name), message, "leave it out")


def _names(subject: BindingsSubject, binding: Binding, at: tuple[str | int, ...], known: Known) -> Iterator[Issue]:
    if known.gateways is not None:
        for place, name in enumerate(binding.written.gateways):
            if name not in known.gateways:
                message = f"binding `{binding.id}`: no adapter for the gateway `{name}` is installed"
                hint = did_you_mean(name, sorted(known.gateways))
                yield subject.issue("P121", (*at, "gateways", place), message, hint, key=False)
    if known.codes is not None and binding.written.caps is not None:
        for place, code in enumerate(binding.written.caps.exempt):
            if code not in known.codes:
                message = f"binding `{binding.id}`: no installed check emits `{code}`"
                hint = did_you_mean(code, sorted(known.codes))
                yield subject.issue("P101", (*at, "caps", "exempt", place), message, hint, key=False)
