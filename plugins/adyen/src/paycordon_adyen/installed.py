"""Whether the vendor's SDK that is installed is the one this adapter was written for. Imports none of it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from paycordon.errors import ConfigError

MAJOR = 16


def require_version() -> None:
    """Refuse an SDK of another major version, or without its transport. Looks at what is installed, imports nothing.

    Raises:
        ConfigError: what is installed is not what this adapter was written for.
    """
    try:
        found = version("Adyen")
    except PackageNotFoundError:
        raise ConfigError("the package `Adyen` is not installed", hint="install `Adyen[requests]`") from None
    if found.split(".", 1)[0] != str(MAJOR):
        hint = f"install a version of {MAJOR}"
        raise ConfigError(f"`Adyen` {found} is not the version this adapter was written for", hint=hint)
    if find_spec("requests") is None:
        raise ConfigError("`Adyen` has no `requests` to speak through", hint="install `Adyen[requests]`")
