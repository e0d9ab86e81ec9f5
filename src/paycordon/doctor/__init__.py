"""Examine a deployment part by part, and say of each what is wrong and how to fix it."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from paycordon.config import Config, load_config
from paycordon.doctor.coalition import examine_digests, examine_exchange, examine_feeds, examine_inquiries
from paycordon.doctor.examination import Diagnosis, Examination, Health
from paycordon.errors import ConfigError
from paycordon.people import Role
from paycordon.plugins import Plugins, load, open_feeds, open_gateways, open_inquiries, open_recipients
from paycordon.policy import Severity, lint, load_set
from paycordon.reload import examine as compare
from paycordon.reload import read
from paycordon.store import Store
from paycordon.store.lists import StoredLists
from paycordon.store.migrate import NEWEST, current
from paycordon.store.policies import in_force
from paycordon.store.schema import from_micros, micros

__all__ = ["Diagnosis", "Health", "examine", "require_writable"]

MAX_CLOCK_DIFFERENCE = timedelta(seconds=5)
OVERDUE = timedelta(minutes=10)
_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH


def examine(path: Path, environ: Mapping[str, str], clock: Callable[[], datetime]) -> list[Diagnosis]:
    """Examine the deployment of a configuration file; never raises for what is wrong with it."""
    examination = Examination()
    config: Config | None = None
    with examination.part("configuration"):
        config = load_config(path, environ)
        examination.note("configuration", f"{path} can be read, and every secret it names is there")
    if config is None:
        return examination.found
    _examine_keys(examination, config, path)
    _examine_people(examination, config)
    plugins = _examine_plugins(examination, config)
    _examine_policies(examination, config, plugins, clock())
    _examine_store(examination, config, plugins, clock)
    return examination.found


def require_writable(store: Store) -> None:
    """Try the store without changing anything in it.

    Raises:
        StoreUnavailable: it is out of reach, locked, full or read-only.
    """
    with store.write() as connection:
        connection.execute(text("DELETE FROM log WHERE 1 = 0"))


def _examine_keys(examination: Examination, config: Config, path: Path) -> None:
    with examination.part("keys"):
        for file in _secret_files(path):
            mode = file.stat().st_mode
            if mode & _OTHERS_MAY_READ:
                message = f"{file} can be read or written by others (mode {stat.S_IMODE(mode):04o})"
                examination.note("keys", message, Health.WARN, f"chmod 600 {file}")
        if config.log_signing_key is None:
            message = "the decision log is not signed, so rewriting it cannot be proved"
            examination.note("keys", message, Health.WARN, "add `log_signing_key` to the configuration")
        if config.api_token is None:
            message = "there is no `api_token`, so `paycordon serve` screens for nobody"
            examination.note("keys", message, Health.WARN, "add `api_token` to the configuration")
        examination.note("keys", f"{len(config.identifier_keys.keys)} identifier keys, long enough")


def _examine_people(examination: Examination, config: Config) -> None:
    of_the_role = [each.roles for each in config.people.values() if Role.RESTRICTED in each.roles]
    if not of_the_role or not config.referrals.two_people:
        return
    approvers = [roles for roles in of_the_role if {Role.APPROVER, Role.ADMIN} & set(roles)]
    if len(of_the_role) < 2 or not approvers:
        message = "no referral can be released: that takes two people of the role `restricted`, one of them an approver"
        examination.note("people", message, Health.WARN, "give both roles to a second person under `people`")


def _secret_files(path: Path) -> Iterator[Path]:
    """Find the files that `file:` references in a configuration name."""
    from paycordon.documents import read_document

    waiting: list[Any] = [read_document(path).data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, str) and value.startswith("file:"):
            yield path.resolve().parent / value.removeprefix("file:")


def _examine_plugins(examination: Examination, config: Config) -> Plugins | None:
    with examination.part("plugins"):
        plugins = load(config)
        names = ", ".join(f"{each.name} {each.version}" for each in plugins.installed)
        examination.note("plugins", f"{names}; {len(plugins.checks)} checks")
        with examination.part("gateways"):
            gateways = open_gateways(config, plugins)
            if gateways:
                examination.note("gateways", ", ".join(f"{name} ({g.settings.mode})" for name, g in gateways.items()))
            else:
                fix = "add one under `gateways`; `paycordon plugins` lists the adapters"
                examination.note("gateways", "none is configured, so holds restrict nothing", Health.WARN, fix)
        with examination.part("exchange"):
            told = open_recipients(config, plugins)
            if told:
                examination.note("exchange", ", ".join(f"{name} ({each.format})" for name, each in told.items()))
        return plugins
    return None


def _examine_policies(examination: Examination, config: Config, plugins: Plugins | None, now: datetime) -> None:
    with examination.part("policies"):
        files = config.policy_files()
        policies = load_set(files)
        codes = None if plugins is None else {code for check in plugins.checks.values() for code in check.emits}
        found = lint(files.policies, codes, bindings=files.bindings, now=now)
        issues = [issue for issue in found if issue.severity is not Severity.STYLE]
        names = ", ".join(f"{ref.name} v{ref.version}" for ref in policies.refs)
        if issues:
            message = f"{names}; {len(issues)} issues, first {issues[0].position}: {issues[0].message}"
            examination.note("policies", message, Health.WARN, "paycordon policy lint")
        else:
            examination.note("policies", f"{names}; no issues")


def _examine_store(
    examination: Examination, config: Config, plugins: Plugins | None, clock: Callable[[], datetime]
) -> None:
    with examination.part("store"):
        store = Store.open(config.store)
        try:
            _examine_database(examination, store)
            _examine_in_force(examination, config, store)
            with examination.part("clock"), store.read() as connection:
                _examine_clock(examination, connection, clock)
            with examination.part("work"), store.read() as connection:
                _examine_deliveries(examination, connection, clock(), set(config.gateways))
                _examine_restrictions(examination, connection, clock(), set(config.gateways))
                _examine_gateways(examination, connection, clock(), set(config.gateways))
                _examine_clocks(examination, connection, clock())
                _examine_notifications(examination, connection)
            with examination.part("identifiers"), store.read() as connection:
                examine_digests(examination, connection, config, clock())
            with examination.part("exchange"), store.read() as connection:
                examine_exchange(examination, connection, set(config.exchange))
            if plugins is not None:
                with examination.part("feeds"), store.read() as connection:
                    examine_feeds(examination, connection, open_feeds(config, plugins), clock())
                with examination.part("inquiries"), store.read() as connection:
                    examine_inquiries(examination, connection, open_inquiries(config, plugins))
            with examination.part("log"), store.read() as connection:
                _examine_log(examination, connection, signed=config.log_signing_key is not None)
        finally:
            store.close()


def _examine_in_force(examination: Examination, config: Config, store: Store) -> None:
    """Compare the policy files with what is in force; a running process takes what can be taken by itself."""
    part = "policies in force"
    with examination.part(part):
        with store.read() as connection:
            policies, files = read(config, StoredLists(connection))
            newest = in_force(connection)
        candidate = compare(config, store, policies, files)
        candidate.approval.demand()
        if newest is None:
            examination.note(part, "none yet; the first process that starts takes these")
        elif newest.digest == policies.digest:
            examination.note(
                part, f"{newest.digest[:12]}, the files as they are, since {newest.taken_at:%Y-%m-%d %H:%M}Z"
            )
        else:
            message = f"{newest.digest[:12]} since {newest.taken_at:%Y-%m-%d %H:%M}Z, and not the files as they are now"
            fix = "running processes take them within 5 s; without any, start one with `paycordon work`"
            examination.note(part, message, Health.WARN, fix)


def _examine_database(examination: Examination, store: Store) -> None:
    require_writable(store)
    with store.read() as connection:
        revision = current(connection)
        settings = _sqlite_settings(connection) if store.dialect == "sqlite" else {}
    if revision != NEWEST:
        raise ConfigError(f"the schema is at {revision}, not at {NEWEST}", hint="start any command to upgrade it")
    weak = [f"{name}={value}" for name, value in settings.items() if (name, value) not in _SAFE]
    if weak:
        message = f"SQLite runs with {', '.join(weak)}: a power cut may lose what was committed"
        fix = "put the database on a local file system that supports shared memory"
        examination.note("store", message, Health.FAIL, fix)
    else:
        examination.note("store", f"{store.dialect}, schema {revision}, can be written")


_SAFE = {("journal_mode", "wal"), ("synchronous", "2")}


def _sqlite_settings(connection: Connection) -> dict[str, str]:
    names = ("journal_mode", "synchronous")
    return {name: str(connection.exec_driver_sql(f"PRAGMA {name}").scalar()) for name in names}


def _examine_clock(examination: Examination, connection: Connection, clock: Callable[[], datetime]) -> None:
    last = connection.execute(text("SELECT MAX(at) FROM log")).scalar()
    now = clock()
    if last is not None and from_micros(last) > now + MAX_CLOCK_DIFFERENCE:
        message = f"the log's newest entry is {from_micros(last) - now} ahead of this machine's clock"
        examination.note("clock", message, Health.FAIL, "synchronise this machine's clock")
        return
    if connection.dialect.name == "postgresql":
        there = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        difference = abs(there - clock())
        if difference > MAX_CLOCK_DIFFERENCE:
            message = f"this machine and the database differ by {difference.total_seconds():.0f} s"
            examination.note("clock", message, Health.FAIL, "synchronise both clocks")
            return
    examination.note("clock", "agrees with the store")


def _examine_deliveries(examination: Examination, connection: Connection, now: datetime, instances: set[str]) -> None:
    rows = connection.execute(
        text(
            "SELECT instance, SUM(CASE WHEN state = 'stuck' THEN 1 ELSE 0 END) AS stuck, "
            "SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END) AS waiting, "
            "SUM(CASE WHEN state = 'waiting' AND due_at <= :late THEN 1 ELSE 0 END) AS overdue FROM deliveries "
            "WHERE state IN ('stuck', 'waiting') GROUP BY instance ORDER BY instance"
        ),
        {"late": micros(now - OVERDUE)},
    ).all()
    strange = [row for row in rows if row.instance not in instances and row.waiting]
    for row in strange:
        message = f"{row.waiting} deliveries of `{row.instance}` wait, and no such instance is configured to take them"
        examination.note(
            "deliveries", message, Health.FAIL, f"add `{row.instance}` under `gateways` until they are done"
        )
    if stuck := sum(row.stuck for row in rows):
        message = f"{stuck} deliveries are stuck: they were never screened"
        examination.note("deliveries", message, Health.FAIL, "`paycordon delivery list` says why")
    known = [row for row in rows if row.instance in instances]
    if overdue := sum(row.overdue for row in known):
        message = f"{overdue} deliveries have waited for more than {_minutes(OVERDUE)}"
        examination.note("deliveries", message, Health.FAIL, "start a worker with `paycordon work`")
    if not (strange or stuck or overdue):
        examination.note("deliveries", f"{sum(row.waiting for row in known)} wait, none too long")


def _examine_notifications(examination: Examination, connection: Connection) -> None:
    stuck = connection.execute(text("SELECT COUNT(*) FROM notifications WHERE state = 'stuck'")).scalar_one()
    if stuck:
        message = f"{stuck} notifications were not taken by their endpoints"
        examination.note("notifications", message, Health.FAIL, "`paycordon notification list` says why")
    else:
        examination.note("notifications", "none is stuck")


def _examine_clocks(examination: Examination, connection: Connection, now: datetime) -> None:
    late = {"late": micros(now - OVERDUE)}
    overdue = connection.execute(
        text("SELECT COUNT(*) FROM clocks WHERE next_at <= :late AND restricted = 0"), late
    ).scalar_one()
    if overdue:
        message = f"{overdue} deadlines have waited for more than {_minutes(OVERDUE)} to be told to anybody"
        examination.note("clocks", message, Health.FAIL, "start a worker with `paycordon work`")
    without = connection.execute(
        text("SELECT COUNT(*) FROM holds WHERE clocked = 0 AND created_at <= :late"), late
    ).scalar_one()
    if without:
        message = f"{without} holds have had no deadlines for more than {_minutes(OVERDUE)}"
        examination.note("clocks", message, Health.FAIL, "start a worker with `paycordon work`")
    if not overdue and not without:
        examination.note("clocks", "nobody waits to be told of a deadline")


def _examine_restrictions(examination: Examination, connection: Connection, now: datetime, instances: set[str]) -> None:
    rows = connection.execute(
        text("SELECT instance, state, due_at FROM restrictions WHERE state <> 'settled' OR due_at <= :late"),
        {"late": micros(now - OVERDUE)},
    ).all()
    strange = sorted({row.instance for row in rows} - instances)
    known = [row for row in rows if row.instance in instances]
    stuck = sum(row.state == "stuck" for row in known)
    overdue = sum(row.due_at <= micros(now - OVERDUE) for row in known)
    drifted = sum(row.state == "drifted" for row in known)
    for instance in strange:
        message = f"accounts at `{instance}` should be restricted, but no such instance is configured"
        examination.note("restrictions", message, Health.WARN, f"add `{instance}` under `gateways`")
    if drifted:
        message = f"{drifted} accounts were changed by hand at their gateways, and nobody has decided about that"
        examination.note("restrictions", message, Health.WARN, "`paycordon restriction list --state drifted`")
    if stuck:
        message = f"{stuck} accounts do not agree with their holds, and trying again did not help"
        examination.note("restrictions", message, Health.FAIL, "`paycordon hold list`, then `hold show`, says why")
    if overdue:
        message = f"{overdue} accounts have waited for more than {_minutes(OVERDUE)}"
        examination.note("restrictions", message, Health.FAIL, "start a worker with `paycordon work`")
    if not (strange or stuck or overdue or drifted):
        examination.note("restrictions", f"{len(known)} on their way, none too long")


def _examine_gateways(examination: Examination, connection: Connection, now: datetime, instances: set[str]) -> None:
    query = text("SELECT instance, rests_until FROM gateway_health WHERE rests > 0 ORDER BY instance")
    resting = [row for row in connection.execute(query) if row.instance in instances]
    for instance, until in resting:
        left = max(from_micros(until) - now, timedelta(0))
        message = f"`{instance}` fails for account after account; it is left alone and tried again in {_minutes(left)}"
        examination.note("gateways", message, Health.FAIL, "`paycordon restriction list` says what waits for it")
    if not resting:
        examination.note("gateways", "none is left alone because it fails")


def _examine_log(examination: Examination, connection: Connection, *, signed: bool) -> None:
    from paycordon.record.log import GENESIS, entry_hash

    query = text("SELECT seq, at, kind, payload, hash FROM log ORDER BY seq DESC LIMIT 100")
    newest_first = connection.execute(query).all()
    entries = newest_first[::-1]
    previous = GENESIS if entries and entries[0].seq == 1 else None
    for row in entries:
        if previous is not None and entry_hash(previous, row.seq, row.at, row.kind, row.payload) != bytes(row.hash):
            examination.note("log", f"entry {row.seq} was changed", Health.FAIL, "paycordon log verify")
            return
        previous = bytes(row.hash)
    head = entries[-1].seq if entries else 0
    last = connection.execute(text("SELECT COALESCE(MAX(seq), 0) FROM checkpoints")).scalar_one()
    unsigned = f", {head - last} not signed yet" if signed else ""
    examination.note("log", f"{head} entries{unsigned}; the last {len(entries)} are whole")


def _minutes(time: timedelta) -> str:
    return f"{int(time.total_seconds() // 60)} minutes"
