"""An issuer that the settings name, with the source of its keys and the way to read them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from proxy.auth.issuer_keys import IssuerKeys, Pace
from proxy.auth.jwk_set import read_jwks, read_secret
from proxy.auth.key_source import FileSource, Source, WebSource
from proxy.clock import Clock
from proxy.errors import ConfigurationError
from proxy.settings.issuers import Issuer

_FILE_REFRESH_S = 2.0


class Trusted(NamedTuple):
    """An issuer, with its name in the settings and its keys."""

    name: str
    issuer: Issuer
    keys: IssuerKeys


def trust(name: str, issuer: Issuer, clock: Clock, random: Callable[[], float]) -> Trusted:
    """Return the issuer with its keys, which are not loaded yet. Raises ConfigurationError if it has no source."""
    source: Source
    refresh = _FILE_REFRESH_S
    if issuer.jwks_url is not None:
        source, refresh = WebSource(issuer.jwks_url), issuer.refresh_seconds
    elif (path := issuer.jwks_file or issuer.secret_file) is not None:
        source = FileSource(path)
    else:
        raise ConfigurationError(f"issuers.{name}: has no keys")
    read = partial(read_jwks if issuer.secret_file is None else read_secret, algorithms=issuer.algorithms)
    keys = IssuerKeys(name, source, read, Pace(refresh, issuer.max_age_seconds), clock, random)
    return Trusted(name, issuer, keys)
