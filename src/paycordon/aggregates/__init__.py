"""Windowed features of a merchant's history: one definition, wherever it is computed."""

from paycordon.aggregates.definition import Aggregate, Function, parse_window

__all__ = ["Aggregate", "Function", "parse_window"]
