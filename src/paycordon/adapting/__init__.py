"""What adapters have in common, so that each says only what is peculiar to its gateway.

Everything here may be used by an adapter and nothing must be: the contract is `paycordon.gateways`. A module each for
reading JSON whose shape is only promised, for identifiers, amounts, answers of a gateway, acts of people, the guard of
a client, and the tables of a README.
"""
