"""The client's address, behind as many proxies as the operator says there are."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, IPv6Network, ip_address

from multidict import CIMultiDictProxy

_ENTRIES = 64
_OWN_BITS = 64  # bits of an IPv6 address that name the network; hosts choose the rest (RFC 4291, 2.5.4)
# Behind a translator all of IPv4 comes from this one network (RFC 6052).
_TRANSLATED = IPv6Network("64:ff9b::/96")
# Some balancers write the port that they were called from as well.
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?")


def client_address(headers: CIMultiDictProxy[str], peer: str, trusted_hops: int) -> str:
    """Return the right-most address that no trusted proxy wrote about itself.

    Each trusted hop appends the address it was called from, so with n of them the n-th entry from the right is the
    first that a client cannot choose; a port behind it is left out. If that entry is missing or is no address, the peer
    of the connection counts.
    """
    if not trusted_hops:
        return peer
    entries = ",".join(headers.getall("X-Forwarded-For", ())).rsplit(",", _ENTRIES)
    if len(entries) < trusted_hops:
        return peer
    told = entries[-trusted_hops].strip()
    if (parts := _WITH_PORT.fullmatch(told)) is not None:
        told = parts[1] or parts[2]
    return plain_address(told) or peer


def plain_address(text: str) -> str:
    """Return an address in the one form in which it is counted, empty if it is no address.

    IPv4 within IPv6, as a socket for both reports it, becomes IPv4; a zone, which means something on one machine only,
    goes.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address)))
    return str(address)


def place_of(address: str) -> str:
    """Return what connections from a plain address are counted by: in IPv6 its network, as addresses are endless."""
    if ":" not in address or (found := IPv6Address(address)) in _TRANSLATED:
        return address
    return str(IPv6Address(int(found) >> _OWN_BITS << _OWN_BITS))
