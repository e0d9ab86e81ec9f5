"""`paycordon restriction`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.identity import ByOption, ReasonOption
from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_fields, print_json, print_line, print_table

if TYPE_CHECKING:
    from paycordon.config import Config
    from paycordon.enforcement.ondemand import Listed

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id at its gateway.")]
InstanceOption = Annotated[str | None, typer.Option(help="The gateway instance, where several have such an account.")]


def list_restrictions(
    merchant: Annotated[str | None, typer.Option(help="All accounts of this merchant only.")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only those `pending`, `settled`, `unknown`, `stuck`, `drifted`, `accepted`, `unconfigured`."
        ),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List the accounts that are restricted or should be, and how far their gateways agree."""
    from paycordon.enforcement.ondemand import overview
    from paycordon.store import Store

    loaded = read_config(config)
    store = Store.open(loaded.store)
    try:
        with store.read() as connection:
            found = overview(connection, set(loaded.gateways), merchant=merchant, state=state)
    finally:
        store.close()
    if as_json:
        print_json([_document(each) for each in found])
    elif not found:
        print_line("no account is restricted" + (f" in the state {state}" if state else ""))
        print_line("`paycordon hold list` shows what is held")
    else:
        columns = ("instance", "account", "merchant", "wanted", "at the gateway", "state", "next look", "last error")
        print_table(columns, [_row(each) for each in found])


def show(
    account: AccountId,
    instance: InstanceOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show one account: what is wanted, what is there, what was there before."""
    found = _found(read_config(config), account, instance)
    if as_json:
        print_json(_document(found))
        return
    row = found.row
    print_fields(
        {
            "account": f"{row.account} at {row.instance}",
            "merchant": row.merchant,
            "wanted": found.wanted,
            "at the gateway": row.applied,
            "state": found.state,
            "before": _text(row.baseline),
            "settings": _text(row.settings),
            "set by hand": _text(row.drift),
            "gateway ends it": row.expires_at,
            "failures": row.failures or None,
            "last error": row.last_error,
            "next look": row.due_at,
        }
    )
    if found.state == "drifted":
        print_line(f"to put it back: paycordon restriction reapply {row.account} --by YOU --reason WHY")
        print_line(f"to leave it until the next hold or release: paycordon restriction accept {row.account} …")
    elif found.state == "unconfigured":
        print_line(f"nobody enforces this: add `{row.instance}` under `gateways`, or release what was meant otherwise")


def reconcile(
    merchant: Annotated[str | None, typer.Option(help="The accounts of this merchant.")] = None,
    instance: Annotated[str | None, typer.Option(help="The accounts at this gateway instance.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All restricted accounts.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Have workers read accounts now, and make them agree with the holds."""
    from paycordon.cli.inputs import checked
    from paycordon.enforcement.ondemand import look_now
    from paycordon.screening import utc_now
    from paycordon.store import Store

    named = (merchant is not None) + (instance is not None) + everything
    checked("say which: one of `--merchant M`, `--instance I` and `--all`", named == 1)
    loaded = read_config(config)
    if instance is not None:
        checked(f"there is no instance `{instance}` among `gateways`", instance in loaded.gateways)
    store = Store.open(loaded.store)
    try:
        with store.write() as connection:
            count = look_now(connection, utc_now(), merchant=merchant, instance=instance)
    finally:
        store.close()
    if as_json:
        print_json({"due": count})
    else:
        print_line(f"{count} accounts are due now that were not; a worker (`paycordon work`) takes them up")


def reapply(
    account: AccountId,
    by: ByOption,
    reason: ReasonOption,
    instance: InstanceOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Undo what somebody changed by hand at the gateway: the restriction is put back."""
    found = _decided("reapply", account, instance, (by, reason), read_config(config))
    _report(found, "is put back by a worker (`paycordon work`)", as_json=as_json)


def accept(
    account: AccountId,
    by: ByOption,
    reason: ReasonOption,
    instance: InstanceOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Leave what somebody changed by hand as it is until the next hold or release, which restores the baseline."""
    found = _decided("accept", account, instance, (by, reason), read_config(config))
    _report(found, "is left as it is until its next hold or release", as_json=as_json)


def _decided(act: str, account: str, instance: str | None, said: tuple[str, str], loaded: Config) -> Listed:
    from paycordon.cli.identity import acting
    from paycordon.cli.identity import said as checked_reason
    from paycordon.enforcement import ondemand
    from paycordon.screening import utc_now
    from paycordon.store import Store

    by, reason = acting(loaded, said[0]), checked_reason(said[1])
    decide = {"reapply": ondemand.reapply, "accept": ondemand.accept}[act]
    store = Store.open(loaded.store)
    try:
        with store.write() as connection:
            found = ondemand.account(connection, account, set(loaded.gateways), instance=instance)
            decide(connection, found.row, by=by, reason=reason, now=utc_now())
            return ondemand.account(connection, account, set(loaded.gateways), instance=found.row.instance)
    finally:
        store.close()


def _found(loaded: Config, account: str, instance: str | None) -> Listed:
    from paycordon.enforcement import ondemand
    from paycordon.store import Store

    store = Store.open(loaded.store)
    try:
        with store.read() as connection:
            return ondemand.account(connection, account, set(loaded.gateways), instance=instance)
    finally:
        store.close()


def _report(found: Listed, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(found))
    else:
        print_line(f"{found.row.account} at {found.row.instance} {what}")


def _row(each: Listed) -> tuple[object, ...]:
    row = each.row
    return (
        *(row.instance, row.account, row.merchant, each.wanted, row.applied, each.state),
        row.due_at if row.due_at.year < _NEVER_LOOKED_AT else None,
        row.last_error,
    )


_NEVER_LOOKED_AT = 2100


def _text(settings: object) -> str | None:
    import json

    return None if settings is None else json.dumps(settings, sort_keys=True)


def _document(each: Listed) -> dict[str, Any]:
    return {**asdict(each.row), "wanted": each.wanted, "state": each.state}
