"""What a policy would have made of a history: backtests of one policy set and comparisons of two.

The rules judge by `paycordon.policy.evaluate`, as live; aggregates are computed by `paycordon.aggregates.offline`.
Findings and failures of checks are taken as recorded: checks are not run again. Caps of bindings depend on what other
decisions did within the hour, and are not applied; holds that stood then count only if asked for.

Needs the extra `backtest`; nothing here but this module can be imported without it.
"""

from importlib.util import find_spec

from paycordon.errors import ConfigError

_NEEDED = ("duckdb", "jinja2", "pyarrow")


def require_extra() -> None:
    """Make sure that what a backtest needs is installed.

    Raises:
        ConfigError: something is not.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        listed = ", ".join(f"`{name}`" for name in missing)
        raise ConfigError(
            f"a backtest needs {listed}, which is not installed", hint="pip install 'paycordon[backtest]'"
        )
