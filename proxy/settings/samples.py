"""The settings of samples for review."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from proxy.documents.strict_model import StrictModel
from proxy.keyed.sample_keys import read_public
from proxy.settings.types import FilePath

Kind = Literal["degraded", "denied", "matched", "shadow"]


def _checked(text: str) -> str:
    read_public(text)
    return text


class Samples(StrictModel):
    """What is kept of exchanges for those who review, sealed, and for how long."""

    public_key: Annotated[str, AfterValidator(_checked)] | None = Field(
        None,
        description="The key to seal them to, as stillgate log keygen --samples prints it; without one, none.",
    )
    of: Annotated[tuple[Kind, ...], Field(min_length=1, max_length=4)] = Field(
        ("degraded", "denied"),
        description="Of which exchanges: degraded, denied by a quota or rung, matched by a rule, or shadow: one that "
        "rules or quotas in shadow speak of.",
    )
    share: float = Field(0.1, gt=0, le=1, description="How many of those, chosen by a secret and the exchange's id.")
    per_account_hour: int = Field(
        4, ge=1, le=10_000, description="How many of one account in an hour, for each worker."
    )
    characters: int = Field(
        65_536,
        ge=256,
        le=262_144,
        description="How much of a request is kept, half from its beginning and half from its end; of an "
        "answer as many bytes, from its beginning.",
    )
    megabytes_per_day: int = Field(
        64, ge=1, le=65_536, description="The room for each worker's samples of a day; every hour opens a part of it."
    )
    retention_days: int = Field(
        30,
        ge=2,
        le=365,
        description="How many days old a sample gets at most, from 2 to 365; a day's are deleted together.",
    )
    folder: FilePath | None = Field(
        None, description="The folder of the files, of this proxy alone; without one, samples in the data folder."
    )
