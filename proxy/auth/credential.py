"""Finds the one credential of a request in its headers."""

from __future__ import annotations

from multidict import CIMultiDictProxy

from proxy.errors import BadRequest, Unauthenticated

_MAX_CHARS = 8192


def one_credential(headers: CIMultiDictProxy[str]) -> str:
    """Return the secret from `Authorization: Bearer` or `x-api-key`, whichever the request has.

    Two credentials are refused even if they are equal: whoever reads only one of two could see another caller. Raises
    Unauthenticated if there is none or the scheme is another, BadRequest if there are several.
    """
    bearer = headers.getall("Authorization", None)
    plain = headers.getall("x-api-key", None)
    if bearer is None and plain is None:
        raise Unauthenticated(
            "No API key was given. Send it as a bearer token or as x-api-key.", code="missing_api_key"
        )
    values = (bearer or []) + (plain or [])
    if len(values) > 1:
        raise BadRequest("More than one credential was given.", code="ambiguous_credentials")
    secret = values[0]
    if bearer is not None:
        scheme, _, secret = secret.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("The API key is not valid.")
    if not secret or len(secret) > _MAX_CHARS or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise Unauthenticated("The API key is not valid.")
    return secret
