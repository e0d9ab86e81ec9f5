"""Names of merchants and of the people behind them, against lists of names: a lead, never a reason to block.

A name says little: on dense lists every seventh honest name is close to some entry. So a match is a finding for people
and for rules that combine it with something else, and each score says how it came about.
"""
