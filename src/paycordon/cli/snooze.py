"""`paycordon snooze`: a rule that says nothing about one merchant for a while."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from paycordon.cli.identity import ByOption, ReasonOption, at_work, by_analyst, moment, print_proposed, said, wish_of
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, looking
from paycordon.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.store.snoozes import StoredSnooze

SnoozeId = Annotated[str, typer.Argument(metavar="ID", help="The snooze, as `paycordon snooze list` names it.")]


def add(
    rule: Annotated[str, typer.Argument(metavar="POLICY/RULE", help="The rule.")],
    merchant: Annotated[str, typer.Option(help="For which merchant.")],
    until: Annotated[str, typer.Option(metavar="TIME", help="When it ends: `2027-01-31` or with a time and zone.")],
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Let a rule say nothing about a merchant; its matches stay on the decisions, and count as allow.

    A rule for the protection of children, or one that rests on the coalition's knowledge, takes two people.
    """
    from paycordon.review.proposals import snooze
    from paycordon.store.proposals import Proposal

    why, ends = said(reason), moment(until, "--until")
    with at_work(config, by) as (read, store, person):
        wish = wish_of(read, person, why)
        check_end(read, wish.now, ends)
        takes_two = _takes_two(read, rule)
        with store.write() as connection:
            came = snooze(connection, merchant, rule, ends, wish, takes_two=takes_two)
    if isinstance(came, Proposal):
        return print_proposed(came, as_json)
    if as_json:
        print_json(asdict(came))
    else:
        print_line(f"{came.id}: {rule} says nothing about {merchant} until {came.until:%Y-%m-%d %H:%M}Z")
        print_line("holds in force stay; `paycordon hold list` shows them")
    return 0


def list_snoozes(
    merchant: Annotated[str | None, typer.Option(help="For this merchant only.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Include those that have ended.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List snoozes, those that end first at the front."""
    from paycordon.screening import utc_now
    from paycordon.store.snoozes import listed

    with looking(config) as connection:
        found = listed(connection, utc_now(), merchant=merchant, everything=everything)
    if as_json:
        print_json([asdict(each) for each in found])
    elif not found:
        print_line("no rule is snoozed; `paycordon snooze add --help` says how to")
    else:
        columns = ("snooze", "merchant", "rule", "until", "by", "agreed by", "ended", "reason")
        print_table(columns, [_row(each) for each in found])


def end(
    snooze: SnoozeId,
    by: ByOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """End a snooze before its time: the rule counts again at once."""
    from paycordon.store.snoozes import end as end_snooze

    ended = by_analyst(config, by, reason, lambda connection, **who: end_snooze(connection, snooze, **who))
    if as_json:
        print_json(asdict(ended))
    else:
        print_line(f"ended {ended.id}: {ended.rule} counts again for {ended.merchant}")


def check_end(config: Config, now: datetime, until: datetime) -> None:
    """Refuse a snooze that ends in the past or lasts too long."""
    from paycordon.cli.inputs import checked
    from paycordon.spans import deadline

    latest = deadline(now, config.review.longest_snooze)
    limit = f"`--until` must be in the future, and at most {(latest - now).days} days ahead (`review.longest_snooze`)"
    checked(limit, now < until <= latest)


def _takes_two(config: Config, rule: str) -> bool:
    """Find the rule in the policies, and tell whether silencing it takes two people.

    Raises:
        NotFound: no policy has it.
    """
    from paycordon.errors import NotFound
    from paycordon.policy import load_set
    from paycordon.policy.guarded import guarded_rules

    policies = load_set(config.policy_files())
    policy, _, name = rule.partition("/")
    if policies.rule(policy, name) is None:
        raise NotFound(f"there is no rule `{rule}`; a rule is named as `policy/rule`")
    return rule in guarded_rules(policies)


def _row(snooze: StoredSnooze) -> tuple[object, ...]:
    return (
        snooze.id,
        snooze.merchant,
        snooze.rule,
        snooze.until,
        snooze.placed_by,
        snooze.agreed_by,
        snooze.ended_at,
        snooze.reason,
    )
