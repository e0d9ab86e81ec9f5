"""What a check is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from paycordon.aggregates import Aggregate


class CheckSettings(BaseModel):
    """Settings of a check, from `checks:` in the configuration; a check subclasses it with its own, typed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_S = TypeVar("_S", bound=CheckSettings)


class Check(Generic[_S]):
    """Code that looks at one event and its context and yields findings.

    A subclass states its `id`, the codes it `emits` (code to sentence) and its `settings_type`, and implements one to
    three of `screen_merchant`, `screen_payout`, `screen_dispute`, marked with `hookimpl`. Its docstring is what risk
    teams read.

    `bounded` promises that the check only computes on its arguments, in a time that their size bounds: no input or
    output, no lock, no waiting. It then runs on the caller's thread, which saves about 0.1 ms a screening, and cannot
    be given up when it is late. Exceptions and wrong results are isolated all the same.
    """

    id: ClassVar[str]
    emits: ClassVar[Mapping[str, str]]
    settings_type: ClassVar[type[CheckSettings]] = CheckSettings
    bounded: ClassVar[bool] = False

    def __init__(self, settings: _S) -> None:
        self.settings = settings

    def aggregates(self) -> Mapping[str, Aggregate]:
        """Name the aggregates this check reads from `context.aggregates`."""
        return {}
