"""A synthetic portfolio of merchants, honest ones of many kinds and planted patterns, to try policies on.

Nobody in it exists. It holds the shapes of payments and nothing else, and the same seed gives the same events. What a
policy finds here says that it works as it is meant to, and nothing of what it would find among real merchants: the
shapes of the planted patterns were made from the publications that the rules were made from.
"""

from paycordon.portfolio.generate import HONEST, PLANTED, Label, Portfolio
from paycordon.portfolio.life import DAYS, START

__all__ = ["DAYS", "HONEST", "PLANTED", "START", "Label", "Portfolio"]
