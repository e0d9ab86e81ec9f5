"""The decision log: append-only, hash-chained, signed at checkpoints."""
