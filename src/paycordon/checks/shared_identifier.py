"""Check `shared_identifier`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from paycordon.checks.base import Check, CheckSettings
from paycordon.context import Context
from paycordon.decisions import Finding
from paycordon.hookspecs import hookimpl


class SharedIdentifierSettings(CheckSettings):
    """How many others may have the same identifier before it says anything, and before it says nothing."""

    min_others: Annotated[int, Field(ge=1, description="this many other merchants make a finding")] = 1
    max_others: Annotated[int, Field(ge=1, description="shared by more than this it is a hub and says nothing")] = 50


class SharedIdentifier(Check[SharedIdentifierSettings]):
    """The same bank account, phone, device, tax id, wallet or email as another merchant, or as one that is blocked.

    Sharing alone is common among honest merchants (one owner, several shops), so its confidence is low; sharing with
    a blocked merchant is how a refused one comes back under another name. One hop further, a merchant between the two
    shares something with each; that is a lead to look at the links, and no more.
    """

    id: ClassVar[str] = "shared_identifier"
    emits: ClassVar[Mapping[str, str]] = {
        "identifier.shared": "another merchant was seen with the same identifier",
        "identifier.shared_with_blocked": "a blocked merchant was seen with the same identifier",
        "identifier.near_blocked": "a merchant with the same identifier shares another one with a blocked merchant",
    }
    settings_type = SharedIdentifierSettings
    bounded: ClassVar[bool] = True

    def _screen(self, context: Context) -> Iterable[Finding]:
        for shared in context.shared:
            evidence: dict[str, str | int] = {
                "kind": shared.kind,
                "digest": shared.digest,
                "others": shared.others,
                "blocked": shared.blocked,
            }
            if any(each != shared.digest for each in shared.stored):
                evidence["stored"] = " ".join(shared.stored)
            if shared.blocked:
                yield Finding(check=self.id, code="identifier.shared_with_blocked", confidence=0.9, evidence=evidence)
            elif self.settings.min_others <= shared.others <= self.settings.max_others:
                yield Finding(check=self.id, code="identifier.shared", confidence=0.3, evidence=evidence)

        for near in context.near:
            said: dict[str, str | int] = {
                "kind": near.kind,
                "digest": near.digest,
                "hops": 2,
                "through_kind": near.through_kind,
                "through": near.through,
            }
            yield Finding(check=self.id, code="identifier.near_blocked", confidence=0.2, evidence=said)

    @hookimpl
    def screen_merchant(self, context: Context) -> Iterable[Finding]:
        """Compare at onboarding and at each change."""
        return self._screen(context)

    @hookimpl
    def screen_payout(self, context: Context) -> Iterable[Finding]:
        """Compare what the payout names, such as its destination."""
        return self._screen(context)
