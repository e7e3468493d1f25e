"""Well-known paths of these APIs that no dialect serves, each with the reason that its callers are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_UNCOUNTED = "what runs later or elsewhere could not be held to the limits of this request"
_KEPT = "the model API does not tell whose files and other state it keeps"
# By the path after `/v1/`; paths below one are not served either.
_REASONS: Final[Mapping[str, str]] = {
    "messages/batches": f"Batches are not available through this proxy: {_UNCOUNTED}.",
    "batches": f"Batches are not available through this proxy: {_UNCOUNTED}.",
    "realtime": "Realtime sessions are not available through this proxy: it serves a request and its answer.",
    "files": f"Files are not available through this proxy: {_KEPT}.",
    "uploads": f"Uploads are not available through this proxy: {_KEPT}.",
    "vector_stores": f"Vector stores are not available through this proxy: {_KEPT}.",
    "containers": f"Containers are not available through this proxy: {_KEPT}.",
    "conversations": f"Conversations are not available through this proxy: {_KEPT}.",
    "assistants": f"Assistants are not available through this proxy: {_KEPT}.",
    "threads": f"Threads are not available through this proxy: {_KEPT}.",
    "fine_tuning": f"Fine-tuning is not available through this proxy: {_UNCOUNTED}.",
    "evals": f"Evals are not available through this proxy: {_UNCOUNTED}.",
    "audio": "Audio is not available through this proxy: it reads and counts text only.",
    "images": "Images are not available through this proxy: it reads and counts text only.",
    "videos": "Videos are not available through this proxy: it reads and counts text only.",
}
# Below a path that is served: stored responses, and what can be done to them.
_BELOW: Final[Mapping[str, str]] = {
    "responses/": "Stored responses are not available through this proxy: a response is given once, as an answer.",
}
_NOTHING: Final = "There is nothing here."


def why_not(path: str) -> str:
    """Return why nothing is served at a path, in words for the client."""
    named = path.removeprefix("/v1/") if path.startswith("/v1/") else ""
    for known, reason in _REASONS.items():
        if named == known or named.startswith(f"{known}/"):
            return reason
    return next((reason for known, reason in _BELOW.items() if named.startswith(known)), _NOTHING)
