"""Webhooks: verify, store, answer; then screen what was stored.

The door (`Intake`) does only what must happen before the answer, so that a gateway's patience is never strained. The
work (`DeliveryWorker`) happens afterwards, in any number of processes.
"""

from paycordon.intake.app import Answer, Intake
from paycordon.intake.worker import DeliveryWorker

__all__ = ["Answer", "DeliveryWorker", "Intake"]
