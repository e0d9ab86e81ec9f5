"""Private lookup: a hub says whether an identifier is known without hearing which one, and shows nothing else.

A member blinds an identifier, the hub evaluates it under its key and proves that it used that key (RFC 9497, VOPRF,
ristretto255-SHA512). The member then asks for the bucket that the result falls into, and compares on its own side.
"""
