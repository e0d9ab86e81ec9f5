"""What this distribution brings to Paycordon; named in the entry point group `paycordon`."""
