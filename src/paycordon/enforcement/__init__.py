"""Make gateways agree with what the holds ask for, and keep checking that they do."""

from paycordon.enforcement.pressure import Limits
from paycordon.enforcement.reconcile import Reconciler
from paycordon.enforcement.timing import Timing

__all__ = ["Limits", "Reconciler", "Timing"]
