"""Decode the nested forms that Stripe takes: `settings[payouts][schedule][interval]=manual`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
MAX_FIELDS = 1_000


class BadForm(ValueError):
    """The form cannot be decoded; the text names the field."""


def decode(text: str) -> dict[str, Any]:
    """Return a form as nested objects; a level whose keys are all numbers, or empty, is a list. Values stay text.

    Raises:
        BadForm: a field is both a value and an object, or is not of this form.
    """
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS):
        found = _KEY.fullmatch(name)
        if not found:
            raise BadForm(name)
        _put(tree, [found[1], *re.findall(r"\[([^\[\]]*)\]", found[2])], value, name)
    return {key: _listed(value) for key, value in tree.items()}


def _put(tree: dict[str, Any], path: list[str], value: str, name: str) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise BadForm(name)
    last = path[-1] or str(len(tree))
    if isinstance(tree.get(last), dict):
        raise BadForm(name)
    tree[last] = value


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    return {key: _listed(inner) for key, inner in value.items()}
