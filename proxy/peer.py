"""The client's address, behind as many proxies as the operator says there are."""

from __future__ import annotations

from ipaddress import ip_address

from multidict import CIMultiDictProxy

_ENTRIES = 64


def client_address(headers: CIMultiDictProxy[str], peer: str, trusted_hops: int) -> str:
    """Return the right-most address that no trusted proxy wrote about itself.

    Each trusted hop appends the address it was called from, so with n of them the n-th entry from the right is the
    first that a client cannot choose. Without it, or if it is no address, the peer of the connection counts.
    """
    if not trusted_hops:
        return peer
    entries = ",".join(headers.getall("X-Forwarded-For", ())).rsplit(",", _ENTRIES)
    if len(entries) < trusted_hops:
        return peer
    try:
        return str(ip_address(entries[-trusted_hops].strip()))
    except ValueError:
        return peer
