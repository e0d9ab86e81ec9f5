"""Shared knowledge of the financial coalition: identifiers and indicators."""
