"""IP addresses and ranges: their shortest form, and how a range is found by digests.

A digest of a range says nothing of the addresses in it. So an address is compared under the digests of the networks
around it, of a few fixed lengths, and a range that is added is written as networks of those lengths.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Nothing wider: a /12 of IPv4 is a million hosts, and a /32 of IPv6 is what a provider gets.
LENGTHS = {4: (32, 24, 20, 16), 6: (128, 64, 56, 48, 40, 32)}
_MOST_PARTS = 256


def _network(value: str) -> _Network | None:
    try:
        network = ipaddress.ip_network(value.strip().strip("[]"), strict=False)
    except ValueError:
        return None
    address = network.network_address
    if isinstance(address, ipaddress.IPv6Address) and network.prefixlen >= 96 and address.ipv4_mapped is not None:
        return ipaddress.ip_network((address.ipv4_mapped, network.prefixlen - 96), strict=False)
    return network


def canonical(value: str) -> str | None:
    """Return an address as `192.0.2.1`, a range as `192.0.2.0/24`; none for what is neither."""
    network = _network(value)
    return None if network is None else _written(network)


def _written(network: _Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def around(form: str) -> Iterator[str]:
    """Yield the networks around an address or range, the narrowest first, without itself."""
    network = _network(form)
    if network is None:
        return
    for length in LENGTHS[network.version]:
        if length < network.prefixlen:
            yield str(network.supernet(new_prefix=length))


def parts(form: str, *, wide: bool = False) -> list[str]:
    """Write a range as networks of the lengths under which addresses are compared.

    Args:
        form: an address or a range.
        wide: whether it may be wider than the widest of those lengths, as what names no one may.

    Raises:
        ValueError: it is no address or range, is too wide, or would take more than 256 networks.
    """
    network = _network(form)
    if network is None:
        raise ValueError("is no IP address or range")
    lengths = LENGTHS[network.version]
    if network.prefixlen < lengths[-1] and not wide:
        raise ValueError(f"is a range wider than /{lengths[-1]}, which would match too many")
    length = min(each for each in lengths if each >= network.prefixlen)
    if 1 << (length - network.prefixlen) > _MOST_PARTS:
        raise ValueError(f"is a range that takes more than {_MOST_PARTS} networks of /{length}; give a wider one")
    return [_written(each) for each in network.subnets(new_prefix=length)]
