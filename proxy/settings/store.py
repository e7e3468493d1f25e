"""What the settings say about the way to a shared store, beside its address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from proxy.documents.document import Document
from proxy.documents.problem import Problem
from proxy.documents.strict_model import StrictModel
from proxy.settings.store_address import Place, StoreAddress, read_place
from proxy.settings.types import ExistingFile, Host, Store, is_file


class StoreTls(StrictModel):
    """How a store behind TLS is verified, and who we are there."""

    ca_file: ExistingFile | None = Field(
        None, description="The file of the authorities that its certificate may come from; without it, the system's."
    )
    certificate_file: ExistingFile | None = Field(
        None, description="The file of our own certificate, for a server that asks for one."
    )
    key_file: ExistingFile | None = Field(None, description="The file of our certificate's private key.")
    server_name: Host | None = Field(
        None, description="The name that its certificate must be for, where that is not the host of its address."
    )


class StoreSettings(StrictModel):
    """Which store, and how to get on with it."""

    store: Store = Field(
        StoreAddress("embedded"),
        description="embedded, or the URL of the store that replicas share: redis://, also with +sentinel or "
        "+cluster; unix://.",
    )
    store_password_file: ExistingFile | None = Field(None, description="The file that holds a shared store's password.")
    sentinel_password_file: ExistingFile | None = Field(
        None, description="The file that holds the sentinels' password, if they ask for one; it may be the same file."
    )
    store_tls: StoreTls = Field(StoreTls(), description="How a store behind TLS (rediss://) is verified.")
    replicas: int = Field(
        1,
        ge=1,
        le=10_000,
        description="How many proxies share the store; while it is away, each process admits its part of a limit.",
    )
    store_away_at_start: Literal["refuse", "serve"] = Field(
        "refuse",
        description="What a start does while a shared store is away: end, or serve from a snapshot of it.",
    )

    @property
    def starts_without_store(self) -> bool:
        """Whether a start goes on while the store is away."""
        return self.store.shared and self.store_away_at_start == "serve"


def store_contradictions(document: Document, folder: Path) -> Iterator[Problem]:
    """Yield what only several settings about the store show to be wrong; `folder` is where relative paths start."""
    store = document.get(("store",), "embedded")
    place = _place(store)
    secret = document.get(("secret_file",))
    if place is not None and not (isinstance(secret, str) and is_file(folder / secret)):
        message = (
            "a shared store needs a secret_file that exists, the same for every replica; make it once with "
            "(umask 077; head -c 32 /dev/urandom | base64 > FILE)"
        )
        yield document.problem(("store",), message)
    if document.get(("store_password_file",)) is not None and place is None:
        yield document.problem(("store_password_file",), "only a shared store, named by its URL, has a password")
    elif document.get(("store_password_file",)) is not None and StoreAddress(str(store)).has_password:
        yield document.problem(("store",), "has a password besides the one in store_password_file: take it out")
    if document.get(("sentinel_password_file",)) is not None and (place is None or place.kind != "sentinel"):
        message = "only a store at redis+sentinel:// or rediss+sentinel:// has sentinels"
        yield document.problem(("sentinel_password_file",), message)
    if document.get(("store_away_at_start",)) == "serve" and place is None:
        message = "only a shared store can be away: the embedded one is started with the rest"
        yield document.problem(("store_away_at_start",), message)
    yield from _tls_contradictions(document, place)


def _tls_contradictions(document: Document, place: Place | None) -> Iterator[Problem]:
    tls = document.get(("store_tls",))
    if not isinstance(tls, dict) or not tls:
        return
    if place is None or not place.tls:
        message = "the store's address is not one with TLS: it must begin with rediss://, rediss+sentinel:// or such"
        yield document.problem(("store_tls",), message, on_key=True)
    for one, other in (("certificate_file", "key_file"), ("key_file", "certificate_file")):
        if one in tls and other not in tls:
            yield document.problem(("store_tls", one), f"a certificate and its key come together: name {other} too")


def _place(store: object) -> Place | None:
    """Return where a shared store is; None for the embedded one, and for what is shown to be wrong elsewhere."""
    try:
        return read_place(store) if isinstance(store, str) and store != "embedded" else None
    except ValueError:
        return None
