"""Which of an account's settings enforce a restriction, and what must be written to bring it about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from paycordon.errors import Refused
from paycordon.gateways import Restriction
from paycordon_stripe.shapes import Node

MANAGED_CAPABILITIES = ("card_payments", "transfers")
"""What is switched off in a blocked account: taking cards, and being sent money by the platform."""

MANUAL = "manual"


class Schedule(BaseModel):
    """When Stripe pays out by itself; the fields and their names are those of `settings.payouts.schedule`.

    Balance settings of an account that cannot be paid out yet have no interval, which nothing can write back.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    interval: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    delay_days: StrictInt | None = None
    weekly_anchor: str | None = None
    weekly_payout_days: tuple[str, ...] | None = None
    monthly_anchor: StrictInt | None = None
    monthly_payout_days: tuple[StrictInt, ...] | None = None

    def days(self) -> dict[str, object]:
        """Return the parameters that name the day, which Stripe wants with each interval in one form only."""
        if self.interval == "weekly":
            return _days("weekly", self.weekly_anchor, self.weekly_payout_days)
        if self.interval == "monthly":
            return _days("monthly", self.monthly_anchor, self.monthly_payout_days)
        return {}

    def params_to(self, wanted: Schedule) -> dict[str, object]:
        """Return what must be written to turn this schedule into the wanted one; empty if nothing.

        `delay_days` keeps its value under a manual interval, so it is written only where it has really changed:
        writing it needlessly would turn "the minimum, whatever it is" into a fixed number.

        Raises:
            Refused: there was no interval, and there is none that could be written for it.
        """
        params = self.interval_params_to(wanted)
        if wanted.delay_days is not None and wanted.delay_days != self.delay_days:
            params["delay_days"] = wanted.delay_days
        return params

    def interval_params_to(self, wanted: Schedule) -> dict[str, object]:
        """Return the part of `params_to` that says when, and not how long after.

        Raises:
            Refused: as `params_to`.
        """
        if wanted.interval is None:
            if self.interval == MANUAL:
                raise Refused("the account had no payout schedule before it was held; set one in stripe's dashboard")
            return {}  # somebody has set one meanwhile, or it was never touched
        if (self.interval, self.days()) == (wanted.interval, wanted.days()):
            return {}
        return {"interval": wanted.interval, **wanted.days()}


def _days(name: str, anchor: str | int | None, days: tuple[str | int, ...] | None) -> dict[str, object]:
    # Stripe shows a single day in both forms; only several need the newer one.
    if days and (anchor is None or len(days) > 1):
        return {f"{name}_payout_days": list(days)}
    return {} if anchor is None else {f"{name}_anchor": anchor}


class AccountSettings(BaseModel):
    """All of an account that this adapter ever changes: the schedule, and which capabilities are requested."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    schedule: Schedule
    capabilities: dict[str, StrictBool]

    @property
    def restriction(self) -> Restriction:
        """What the settings amount to; an account that is paid out by hand anyway reads as held."""
        if self.schedule.interval != MANUAL:
            return Restriction.NONE
        return Restriction.PAYOUTS_HELD if any(self.capabilities.values()) else Restriction.BLOCKED

    def restricted_to(self, to: Restriction, now: AccountSettings) -> AccountSettings:
        """Return what this baseline becomes under a restriction, given the settings of now."""
        own = {name: on for name, on in self.capabilities.items() if name in MANAGED_CAPABILITIES}
        if to is Restriction.NONE:
            return AccountSettings(schedule=self.schedule, capabilities=own)
        schedule = Schedule(interval=MANUAL, delay_days=now.schedule.delay_days)
        if to is Restriction.PAYOUTS_HELD:
            return AccountSettings(schedule=schedule, capabilities=own)
        return AccountSettings(schedule=schedule, capabilities=dict.fromkeys(MANAGED_CAPABILITIES, False))


def settings_of(schedule: Schedule, requested: Mapping[str, bool]) -> AccountSettings:
    """Return the settings of an account from its schedule and the list of its capabilities."""
    return AccountSettings(
        schedule=schedule, capabilities={name: requested.get(name, False) for name in MANAGED_CAPABILITIES}
    )


def schedule_of_account(account: Node) -> Schedule:
    """Return the schedule that an account of v1 always has.

    Raises:
        pydantic.ValidationError: the schedule is not one.
        PayloadInvalid: there is no schedule.
    """
    schedule = account.child("settings").child("payouts").child("schedule")
    return Schedule.model_validate({**schedule.fields(), "interval": schedule.needed_text("interval")})


def schedule_of_balance_settings(settings: Node) -> Schedule:
    """Return the schedule in an account's balance settings, whose `delay_days_override` counts as its `delay_days`.

    Raises:
        pydantic.ValidationError: the schedule is not one.
    """
    payments = settings.child("payments")
    schedule = payments.child("payouts").child("schedule").fields()
    delay = payments.child("settlement_timing").integer("delay_days_override")
    return Schedule.model_validate({**schedule, "delay_days": delay})


def balance_settings_params(now: Schedule, wanted: Schedule) -> dict[str, object]:
    """Return what must be written into balance settings to turn one schedule into the other; empty if nothing.

    Raises:
        Refused: there was no interval, and there is none that could be written for it.
    """
    payments: dict[str, object] = {}
    if when := now.interval_params_to(wanted):
        payments["payouts"] = {"schedule": when}
    if wanted.delay_days != now.delay_days:
        # Empty takes an override back; unlike in the schedule of v1, there being none is a value of its own.
        payments["settlement_timing"] = {
            "delay_days_override": "" if wanted.delay_days is None else wanted.delay_days,
        }
    return {"payments": payments} if payments else {}


def gateway_clock(country: str | None) -> timedelta:
    """Say how long Stripe lets funds be held: https://docs.stripe.com/connect/manual-payouts."""
    return {"US": timedelta(days=730), "TH": timedelta(days=10)}.get(country or "", timedelta(days=90))
