"""The sidecar: screening over HTTP, webhooks, health, metrics."""

from paycordon.server.app import create_app

__all__ = ["create_app"]
