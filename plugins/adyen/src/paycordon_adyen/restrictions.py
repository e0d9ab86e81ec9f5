"""Which settings of an account holder enforce a restriction, and what must be written to bring it about.

What lets money out is counted, and nothing else: the capabilities that are switched on, the sweeps that push and are
active, the payout schedules that are enabled. A release makes exactly those work again that worked before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from paycordon.gateways import Restriction
from paycordon_adyen.accounts import PAYING_OUT, TAKING_IN

ACTIVE, SUSPENDED, CLOSED = "active", "suspended", "closed"
MANAGED_CAPABILITIES = (*PAYING_OUT, *TAKING_IN)
"""What is switched off in a blocked account; under a hold only the former part of it."""

RULE_REFERENCE = "paycordon-hold"
"""How the transaction rule is called that this adapter may add."""

_Names = tuple[str, ...]


class AccountSettings(BaseModel):
    """All of an account holder that this adapter ever changes; every list is sorted.

    Attributes:
        status: Adyen's word for the account holder.
        capabilities: those of `MANAGED_CAPABILITIES` that are switched on by the platform, allowed by Adyen or not.
        sweeps: active ones that push money out, as `BA…/SW…`.
        schedules: enabled payout schedules, as `BA…/…`.
        rules: active transaction rules of ours.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    status: Annotated[str, Field(min_length=1, max_length=64)]
    capabilities: _Names = ()
    sweeps: _Names = ()
    schedules: _Names = ()
    rules: _Names = ()

    @property
    def restriction(self) -> Restriction:
        """What the settings amount to; one that nothing pays out reads as held, one that is closed as blocked."""
        if self.status == CLOSED:
            return Restriction.BLOCKED
        lets_out = _of(self.capabilities, PAYING_OUT) or self.sweeps or self.schedules
        if lets_out and self.status == ACTIVE:
            return Restriction.NONE
        takes_in = _of(self.capabilities, TAKING_IN)
        return Restriction.PAYOUTS_HELD if takes_in or self.status == ACTIVE else Restriction.BLOCKED

    def restricted_to(self, to: Restriction, now: AccountSettings) -> AccountSettings:
        """Return what this baseline becomes under a restriction, given the settings of now.

        What is new since the baseline and takes money in goes on under a hold: it is none of its business.
        """
        if to is Restriction.NONE:
            return self
        if to is Restriction.BLOCKED:
            return AccountSettings(status=SUSPENDED, rules=now.rules)
        kept = {*_of(self.capabilities, TAKING_IN), *_of(now.capabilities, TAKING_IN)}
        return AccountSettings(status=self.status, capabilities=tuple(sorted(kept)), rules=now.rules)

    def capabilities_to(self, wanted: AccountSettings) -> dict[str, bool]:
        """Return which capabilities have to be switched, and how."""
        off = {name: False for name in self.capabilities if name not in wanted.capabilities}
        return off | {name: True for name in wanted.capabilities if name not in self.capabilities}


def switched(now: _Names, wanted: _Names) -> list[tuple[str, bool]]:
    """Return what has to be switched, and how: what is to stop before what is to go on."""
    off = [(name, False) for name in now if name not in wanted]
    return off + [(name, True) for name in wanted if name not in now]


def _of(names: Iterable[str], group: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in group]
