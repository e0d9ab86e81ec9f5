"""Mastercard's list of terminated merchants (MATCH) by its public interface description, version 3.

Requests are JSON signed by OAuth 1.0a with Mastercard's own `mastercard-oauth1-signer`. Tried against a simulator over
HTTP (`paycordon simulate match`), not against the service itself, which only acquirers reach.
"""
