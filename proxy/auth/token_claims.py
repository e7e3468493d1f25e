"""What a token's claims say: whether it is meant for us and now, and who calls. Pure, no I/O.

Laws:
- A needed claim that is missing, or is not what it has to be, refuses the token; nothing is converted or cut.
- Names are ASCII without spaces, so that no two different ones look or sort alike.
- An issuer's names are its own: `ISSUER~NAME`, which no API key's account can be called, unless the settings share
  them. A key id holds issuer, account and tenant, so that callers who differ in any of them never share a count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from proxy.auth.token_reading import Fault, Refused
from proxy.exchange import Principal
from proxy.settings.issuers import Issuer

_OWN_NAME = re.compile(r"[A-Za-z0-9._:@/|+=~#-]{1,128}")
_SHARED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_ATTRIBUTE_CHARS = 256
_LATEST = 1e11  # a later time is in milliseconds, or nonsense


class Caller(NamedTuple):
    """Who calls; `created_at` is None if no claim tells it."""

    key_id: str
    account: str
    tenant: str
    plan: str
    created_at: float | None
    attributes: dict[str, str]

    def principal(self, created_at: float) -> Principal:
        """Return the caller as a principal, whose account was opened at `created_at`."""
        return Principal(self.key_id, self.account, self.tenant, self.plan, created_at, self.attributes)


def check_claims(claims: Mapping[str, Any], issuer: Issuer, now: float) -> float:
    """Return when the token ends; it and `now` are Unix seconds. Raises Refused if it is not for us or not for now."""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not any(name in audiences for name in issuer.audience):
        raise Refused(Fault.AUDIENCE)
    ends = _moment(claims, "exp", Fault.EXPIRED)
    if ends is None or ends <= now:
        raise Refused(Fault.EXPIRED)
    issued, begins = _moment(claims, "iat", Fault.NOT_YET), _moment(claims, "nbf", Fault.NOT_YET)
    latest = now + issuer.leeway_seconds
    if (issued is not None and issued > latest) or (begins is not None and begins > latest):
        raise Refused(Fault.NOT_YET)
    if ends - (latest if issued is None else issued) > issuer.max_lifetime_seconds:
        raise Refused(Fault.LIFETIME)
    for name, values in issuer.require.items():
        found = _claim(claims, name)
        if not any(value in values for value in (found if isinstance(found, list) else [found])):
            raise Refused(Fault.REQUIRED)
    return ends


def read_caller(claims: Mapping[str, Any], name: str, issuer: Issuer) -> Caller:
    """Return whom the claims name; `name` is the issuer's name in the settings. Raises Refused."""
    if not isinstance(claims.get("sub", ""), str):
        raise Refused(Fault.CLAIM)
    wanted = issuer.claims
    account = _name(claims, wanted.account, name, issuer)
    tenant = issuer.tenant or (_name(claims, wanted.tenant, name, issuer) if wanted.tenant else account)
    plan = _claim(claims, wanted.plan) if wanted.plan else None
    if plan is None:
        plan = issuer.plan
    if not isinstance(plan, str) or not _SHARED_NAME.fullmatch(plan):
        raise Refused(Fault.CLAIM)
    created_at = None if wanted.created_at is None else _moment(claims, wanted.created_at, Fault.CLAIM)
    found = ((key, _claim(claims, path)) for key, path in wanted.attributes.items())
    # False ones are left out: packs ask whether an account has an attribute, such as one that says it was verified.
    attributes = {key: _attribute(value) for key, value in found if value is not None and value is not False}
    return Caller(f"{name} {account} {tenant}", account, tenant, plan, created_at, attributes)


def _name(claims: Mapping[str, Any], path: str, issuer_name: str, issuer: Issuer) -> str:
    value = _claim(claims, path)
    shared = issuer.names == "shared"
    if not isinstance(value, str) or not (_SHARED_NAME if shared else _OWN_NAME).fullmatch(value):
        raise Refused(Fault.CLAIM)
    return value if shared else f"{issuer_name}~{value}"


def _attribute(value: object) -> str:
    if value is True:
        return "true"
    text = value if isinstance(value, str) else repr(value) if isinstance(value, int | float) else None
    if text is None or len(text) > _ATTRIBUTE_CHARS or not text.isprintable():
        raise Refused(Fault.CLAIM)
    return text


def _moment(claims: Mapping[str, Any], path: str, fault: Fault) -> float | None:
    """Return a time in Unix seconds, None if there is none. Raises Refused with `fault` if it is something else."""
    value = _claim(claims, path)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not (0 <= value < _LATEST):
        raise Refused(fault)
    return float(value)


def _claim(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the claim of this very name, which may have dots, or else the one at that path; None without either."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for step in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value
