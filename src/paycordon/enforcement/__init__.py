"""Make gateways agree with what the holds ask for, and keep checking that they do."""

from paycordon.enforcement.reconcile import Reconciler, Timing

__all__ = ["Reconciler", "Timing"]
