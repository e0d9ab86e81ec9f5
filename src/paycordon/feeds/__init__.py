"""Feeds: what brings indicators of one source in, whole or not at all. `contract` is what an author writes."""
