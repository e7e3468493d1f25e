"""Whose tokens open the door: the settings of one issuer of JWTs, and what only several of them show to be wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from proxy.documents.document import Document
from proxy.documents.problem import Problem
from proxy.documents.strict_model import StrictModel
from proxy.keyed.link_names import attribute_name
from proxy.settings.types import ExistingFile, is_loopback, parts_of

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]
_MONTH_S = 31 * 86_400
_MOST_TEXTS = 16
_SOURCES = ("jwks_url", "jwks_file", "secret_file")
_VISIBLE = re.compile(r"[!-~]{1,512}")
_URL_CHARS = 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")


def _text(text: str) -> str:
    if not _VISIBLE.fullmatch(text):
        raise ValueError("should be 1 to 512 visible ASCII characters")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("should be 1 to 128 letters, digits or ._:@/- and begin with a letter or digit")
    return text


def _jwks_url(url: str) -> str:
    wrong = ValueError("should be an https URL, such as https://login.example.com/jwks.json")
    parts = parts_of(url, wrong)
    if len(url) > _URL_CHARS or "#" in url:
        raise wrong
    if "@" in parts.netloc:
        raise ValueError("has a user name or password: a set of public keys needs none")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("should be https: whoever can change what comes over http could let anybody in")
    return url


def _some(texts: tuple[str, ...]) -> tuple[str, ...]:
    # pydantic's own bound would complain of an item of the wrong kind a second time.
    if not 0 < len(texts) <= _MOST_TEXTS:
        raise ValueError(f"should have 1 to {_MOST_TEXTS} entries")
    return texts


Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[str, AfterValidator(_name)]
Attribute = Annotated[Name, AfterValidator(attribute_name)]
JwksUrl = Annotated[str, AfterValidator(_jwks_url)]


class Claims(StrictModel):
    """Which claims of a token say what; a name with dots leads into objects."""

    account: Text = Field("sub", description="The claim that names the account.")
    tenant: Text | None = Field(None, description="The claim that names the organisation; without one, the account is.")
    plan: Text | None = Field(None, description="The claim that names the plan, where a token has it.")
    created_at: Text | None = Field(
        None, description="The claim with the account's opening in Unix seconds; without one, when it was first seen."
    )
    attributes: Annotated[dict[Attribute, Text], Field(max_length=16)] = Field(
        {},
        description="Attributes that link accounts, each with the claim that holds it; a claim that is false "
        "gives none.",
    )


class Issuer(StrictModel):
    """One issuer of JWTs."""

    issuer: Text = Field(description="What its tokens have as iss, exactly.")
    audience: Annotated[tuple[Text, ...], AfterValidator(_some)] = Field(
        description="The aud that its tokens must have, alone or among others."
    )
    algorithms: Annotated[tuple[Algorithm, ...], AfterValidator(_some)] = Field(
        description="How its tokens may be signed: RS256 to RS512, PS256 to PS512, ES256 to ES512, EdDSA; "
        "HS256 to HS512 with a secret_file."
    )
    jwks_url: JwksUrl | None = Field(None, description="Where its public keys are: https, or http on this machine.")
    jwks_file: ExistingFile | None = Field(None, description="The file of its public keys; read again when it changes.")
    secret_file: ExistingFile | None = Field(
        None, description="The file of the secret it signs with, for HS256 to HS512."
    )
    refresh_seconds: float = Field(300.0, ge=1, le=86_400, description="How often the keys of a jwks_url are fetched.")
    max_age_seconds: float = Field(
        43_200.0,
        ge=1,
        le=604_800,
        description="How long its keys are used while they cannot be fetched or read again; then its tokens "
        "are answered 503.",
    )
    max_lifetime_seconds: float = Field(
        86_400.0, gt=0, le=_MONTH_S, description="The longest life of a token, from iat or now to exp."
    )
    leeway_seconds: float = Field(30.0, ge=0, le=300, description="How far its clock may be ahead, for iat and nbf.")
    require: dict[Text, Annotated[tuple[Text, ...], AfterValidator(_some)]] = Field(
        {}, description="Claims that a token must have too, such as azp, each with the texts that will do."
    )
    claims: Claims = Field(Claims(), description="Which claims of a token say what.")
    tenant: Name | None = Field(None, description="The organisation of all its callers, in place of a claim.")
    plan: Name = Field("default", description="The plan of callers whose token names none.")
    names: Literal["apart", "shared"] = Field(
        "apart",
        description="Whether the accounts and tenants in its claims are its own, as ISSUER~NAME, or the same "
        "as those of API keys; share them only with an issuer that may speak for every customer.",
    )


def issuer_contradictions(document: Document) -> Iterator[Problem]:
    """Yield what contradicts itself in the issuers of a bare document; what has the wrong shape is skipped."""
    seen: dict[object, str] = {}
    for path, entry in document.items(("issuers",)):
        if not isinstance(entry, dict):
            continue
        yield from _source_contradictions(document, path, entry)
        claims = entry.get("claims")
        if "tenant" in entry and isinstance(claims, dict) and "tenant" in claims:
            message = "its callers have this tenant or the one of a claim: take one of the two out"
            yield document.problem((*path, "tenant"), message)
        refresh, most = entry.get("refresh_seconds", 300), entry.get("max_age_seconds", 43_200)
        if isinstance(refresh, int | float) and isinstance(most, int | float) and most <= refresh:
            message = "keys would be too old before they are fetched again: make it longer than refresh_seconds"
            yield document.problem((*path, "max_age_seconds"), message)
        issuer = entry.get("issuer")
        if isinstance(issuer, str):
            if issuer in seen:
                message = f"is the issuer of {seen[issuer]!r} already: tokens could not tell the two apart"
                yield document.problem((*path, "issuer"), message)
            seen.setdefault(issuer, str(path[-1]))


def _source_contradictions(
    document: Document, path: tuple[str | int, ...], entry: dict[str, object]
) -> Iterator[Problem]:
    sources = [name for name in _SOURCES if entry.get(name) is not None]
    if not sources:
        yield document.problem(path, f"needs its keys: say one of {', '.join(_SOURCES)}", on_key=True)
    elif len(sources) > 1:
        yield document.problem((*path, sources[1]), f"has its keys from {sources[0]} already: take one of the two out")
    secret = sources == ["secret_file"]
    for place, algorithm in document.items((*path, "algorithms")):
        if sources and isinstance(algorithm, str) and algorithm.startswith("HS") != secret:
            message = (
                "takes a key pair, and secret_file has one secret: say HS256, HS384 or HS512"
                if secret
                else "takes a secret that both sides know: public keys would do for it, so it needs a secret_file"
            )
            yield document.problem(place, message)
