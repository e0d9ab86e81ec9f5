"""`paycordon doctor`."""

from __future__ import annotations

import os
from dataclasses import asdict

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, require_config
from paycordon.cli.output import print_json, print_line, print_table
from paycordon.cli.root import FINDINGS


def doctor(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> int:
    """Examine configuration, keys, plugins, policies, store, clock and work. Exits with 1 when something fails."""
    from paycordon.doctor import Health, examine
    from paycordon.screening import utc_now

    require_config(config)
    found = examine(config, os.environ, utc_now)
    failed = sum(each.health is Health.FAIL for each in found)
    if as_json:
        print_json({"ok": not failed, "found": [asdict(each) for each in found]})
    else:
        print_table(("", "part", "what", "to do"), [(d.health, d.part, d.message, d.fix) for d in found])
        print_line(f"{failed} to repair" if failed else "ready")
    return FINDINGS if failed else 0
