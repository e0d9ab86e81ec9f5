"""Check `name_match`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from paycordon.checks.base import Check, CheckSettings
from paycordon.context import Context
from paycordon.decisions import Finding
from paycordon.hookspecs import hookimpl


class NameMatch(Check[CheckSettings]):
    """A name of the merchant or of somebody behind it is like one on a list of names.

    Names are shared by many people: a rule should ask for something else besides, and never block on this alone. The
    finding's confidence is how alike the names are. Entries that a person has cleared for this merchant and this
    name (`paycordon names clear`) are left out until the clearance ends. Lists are named under `name_lists:` in the
    configuration; without any there are no findings.
    """

    id: ClassVar[str] = "name_match"
    emits: ClassVar[Mapping[str, str]] = {"name.match": "a name is like one on a list of names"}
    bounded: ClassVar[bool] = True

    def _screen(self, context: Context) -> Iterable[Finding]:
        for hit in context.names:
            if context.cleared.isdisjoint((hit.clearance, *hit.earlier)):
                yield Finding(
                    check=self.id,
                    code="name.match",
                    confidence=hit.score / 100,
                    evidence={
                        "kind": hit.kind,
                        "digest": hit.digest,
                        "list": hit.list,
                        "entry": hit.entry,
                        "name": hit.name,
                        "by": hit.by,
                        "why": hit.why,
                        "reference": hit.reference,
                        "clearance": hit.clearance,
                    },
                )

    @hookimpl
    def screen_merchant(self, context: Context) -> Iterable[Finding]:
        """Look at the names of a merchant."""
        return self._screen(context)

    @hookimpl
    def screen_payout(self, context: Context) -> Iterable[Finding]:
        """Look at the names on a payout."""
        return self._screen(context)
