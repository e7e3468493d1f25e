"""What a dialect is: one API's wire format, read strictly and written back.

Laws: nothing here awaits or opens anything; bytes split anywhere give the same bytes; what was read is what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from proxy.errors import ProxyError
from proxy.exchange import Call, Chunk, Progress, Text
from proxy.keyed.sealed_reasoning import SealedReasoning
from proxy.wire import Retelling, Wire


class ChunkDecoder(Protocol):
    """Turns the upstream's bytes into chunks and keeps count on the way; one object per response."""

    progress: Progress

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes, however they were split, and return the chunks that are whole now.

        Raises UpstreamFailed when a single event or document is larger than allowed.
        """
        ...

    def finish(self) -> list[Chunk]:
        """Take the end of the body and return what is left. Raises UpstreamFailed if that is no valid document."""
        ...


class Dialect(Protocol):
    """One API's wire format."""

    name: ClassVar[str]  # such as "openai.chat"
    path: ClassVar[str]  # the exact path, such as "/v1/chat/completions"; the method is POST
    request_id_header: ClassVar[str]  # where this API's clients look for the exchange id
    forwarded_headers: ClassVar[frozenset[str]]  # lower-case names of the client's headers that may go upstream
    beta_header: ClassVar[str]  # where clients turn on the API's betas, lower-case; empty: nowhere
    default_headers: ClassVar[Mapping[str, str]]  # headers that the upstream needs and the client may leave out
    overloaded_status: ClassVar[int]  # the status of this API's answer when it is overloaded

    def read(self, body: bytes) -> Call:
        """Read a request strictly. Raises BadRequest or TooLarge in words for the client."""
        ...

    def call(self, document: dict[str, Any]) -> Call:
        """Check a document that was read strictly, and return it as a call. Raises BadRequest as `read` does."""
        ...

    def write(self, call: Call) -> bytes:
        """Serialise the call for the upstream, asking for what the accounting needs."""
        ...

    def put_back(self, call: Call, sealed: SealedReasoning) -> Call:
        """Return the call with the blocks that its handles stand for, the very same object if it has none.

        Raises BadRequest for a handle that was not given to this tenant or was changed, and TooLarge.
        """
        ...

    def texts(self, call: Call) -> Iterator[Text]:
        """Yield every string that the model would see, in order: roles, parts, tools and their schemas, results."""
        ...

    def credential_headers(self, secret: str) -> Mapping[str, str]:
        """Return the headers that carry our credential to the upstream."""
        ...

    def decoder(self, call: Call, *, streamed: bool, every: bool = False) -> ChunkDecoder:
        """Return a decoder for an answer that is a stream of events, or one JSON document.

        With `every`, each event is read and is a chunk of its own.
        """
        ...

    def wire(self, *, streamed: bool) -> Wire:
        """Return the wire of this API's answers: what actions may know of them."""
        ...

    def encode(self, chunk: Chunk, *, streamed: bool) -> bytes:
        """Return a chunk's bytes: as they came, or written anew as an event or a document if it was changed."""
        ...

    def error(self, error: ProxyError, exchange_id: str) -> bytes:
        """Return the JSON error body."""
        ...

    def error_event(self, error: ProxyError, exchange_id: str) -> bytes:
        """Return the error as the event that ends a stream which already began, even in the middle of an event."""
        ...

    def upstream_error(self, status: int, body: bytes, wait: float | None = None) -> ProxyError:
        """Turn an upstream's error answer into one that may be passed on: its own words where they are well-formed.

        `wait` is how many seconds the upstream asked to be left alone, None if it did not.
        """
        ...

    def models(self, models: list[str], created: int) -> bytes:
        """Return the list of models in this API's shape; `created` is Unix seconds."""
        ...

    def limit_names(self, measure: str) -> tuple[str, str, str] | None:
        """Return the headers, in lower case, for a limit's size, what is left of it, and its reset.

        `measure` is one of requests, input_tokens, output_tokens, total_tokens, cost_usd and concurrency; None for one
        that this API has no word for. Several measures may share names: the caller keeps the tightest.
        """
        ...

    def limit_reset(self, seconds: int, now: float) -> str:
        """Return how this API says that a limit is whole again in so many seconds; `now` is Unix seconds."""
        ...


@runtime_checkable
class RetellingDialect(Protocol):
    """What a dialect has besides if its answers repeat things: texts that came in pieces, and what was asked."""

    def retelling(self, asked: Call, sent: Call, *, streamed: bool) -> Retelling:
        """Return what keeps an answer consistent behind all actions."""
        ...
