"""What a policy would have made of a history: backtests of one policy set and comparisons of two.

The rules judge by `paycordon.policy.evaluate`, as live; aggregates are computed by `paycordon.aggregates.offline`.
Findings and failures of checks are taken as recorded: checks are not run again. Caps of bindings depend on what other
decisions did within the hour, and are not applied; holds that stood then count only if asked for.
"""
