"""Paycordon: hold or block merchants, payouts and disputes on the coalition's risk checks."""
