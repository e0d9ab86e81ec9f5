"""Services of the coalition and of card networks on this machine, for tests and trying out: `paycordon simulate`.

They answer by their public descriptions, over real HTTP on loopback, and keep everything in memory. Nothing in
production uses them.
"""
