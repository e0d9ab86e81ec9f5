"""Paycordon's adapter for Adyen for Platforms: signed deliveries in, payout holds and account holder blocks out."""
