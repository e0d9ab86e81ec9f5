"""Windowed features of what happened before: one definition, wherever it is computed."""

from paycordon.aggregates.definition import Aggregate, Function, Kind, Number, parse_window

__all__ = ["Aggregate", "Function", "Kind", "Number", "parse_window"]
