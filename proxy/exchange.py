"""The nouns of the request path: principal, call, chunk, usage, exchange. Values only, no I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from proxy.trace_context import NO_TRACE, Trace

# How many UTF-8 bytes count as a token where nobody says how many tokens a text is: English has about four, so an
# estimate is rather too high than too low.
BYTES_PER_TOKEN: Final = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated caller.

    `created_at` is when the account was opened, in Unix seconds. `attributes` are opaque values that link accounts
    (payment, sign-up), as the operator's own systems name them.
    """

    key_id: str
    account: str
    tenant: str
    plan: str
    created_at: float
    attributes: Mapping[str, str]


class Usage(NamedTuple):
    """Tokens of one exchange, as the upstream bills them; `input` includes tokens read from a prompt cache.

    `reasoning` is how many of the output were reasoning, 0 where the upstream does not say.
    """

    input: int
    output: int
    reasoning: int = 0


class Text(NamedTuple):
    """One string that the model would see; `where` is its place in the body, such as `messages[2].content[0].text`."""

    role: str
    where: str
    text: str


class Kept(NamedTuple):
    """A place in a body that names, by an id, something the upstream keeps.

    `instead` replaces an id that was not given to this tenant; without it such a request is refused.
    """

    path: tuple[str | int, ...]
    instead: object = ...


class Work(StrEnum):
    """What a call has the model do."""

    ANSWER = "answer"  # write
    EMBED = "embed"  # turn texts into vectors: nothing is written, what is read is billed
    COUNT = "count"  # tell how many tokens a request has: nothing is billed


@dataclass(slots=True)
class Call:
    """The neutral view of one request.

    `body` is the strictly read document: it is what is judged, and what is serialised again and sent. `choices` is how
    many answers are asked for (`n`), `max_output_tokens` the client's own cap on each (None: not given). `hide_usage`
    says that the usage is asked of the upstream for our accounting and taken out of the stream again. `length_member`
    is the body's member that caps output tokens. `instruct` returns a body with one more instruction for the model,
    None where no dialect knows how to give one. `kept` are the places of ids of what the upstream keeps; `gives`
    returns the ids that a document of the answer gives out, None where answers give none. `prompts` is how many prompts
    there are, each with `choices` answers, which are chosen from `best_of` if more are written. `token_ids` counts the
    prompt tokens that are given as numbers, which nobody here can read.
    """

    model: str
    stream: bool
    body: dict[str, Any]
    max_output_tokens: int | None = None
    choices: int = 1
    hide_usage: bool = False
    length_member: str = "max_tokens"
    instruct: Callable[[dict[str, Any], str], dict[str, Any]] | None = None
    kept: tuple[Kept, ...] = ()
    gives: Callable[[dict[str, Any]], Iterable[str]] | None = None
    prompts: int = 1
    best_of: int = 1
    token_ids: int = 0
    work: Work = Work.ANSWER

    def with_body(self, body: dict[str, Any]) -> Call:
        """Return the call with another body; `dataclasses.replace` takes four times as long."""
        return Call(
            self.model,
            self.stream,
            body,
            self.max_output_tokens,
            self.choices,
            self.hide_usage,
            self.length_member,
            self.instruct,
            self.kept,
            self.gives,
            self.prompts,
            self.best_of,
            self.token_ids,
            self.work,
        )

    def most_input(self, text_bytes: int) -> int:
        """Return about how many tokens of input are billed for the call, if its texts have this length in UTF-8."""
        return 0 if self.work is Work.COUNT else text_bytes // BYTES_PER_TOKEN + 1

    def most_output(self, longest: int) -> int:
        """Return how many tokens the model may write for the call at most, if its longest answer has `longest`."""
        most = longest if self.max_output_tokens is None else min(self.max_output_tokens, longest)
        return most * max(self.choices, self.best_of) * self.prompts


class Help(StrEnum):
    """What came of asking a helper model."""

    MADE = "made"
    LATE = "late"
    FAILED = "failed"  # it could not be reached, or gave no valid answer
    DECLINED = "declined"  # it said nothing, or that it would not
    TOO_LONG = "too_long"
    RESTING = "resting"  # it was not asked, since it has failed several times in a row


class Helped(NamedTuple):
    """The answer of a helper model; `text` is empty unless there is one to be used."""

    how: Help
    text: str = ""
    usage: Usage = Usage(0, 0)


Asking = Callable[[], Awaitable[Helped]]  # raises nothing but the cancellation of its caller


class Gap(NamedTuple):
    """A text that a chunk lacks until a helper model was asked for it.

    `fill` returns what the client gets in the chunk's place; for an empty text, what it gets where there is none.
    """

    ask: Asking
    fill: Callable[[Chunk, str], Sequence[Chunk]]


class Saying(NamedTuple):
    """What a run of events says that differ from an earlier event of their stream in their texts alone, of one lane.

    The bytes of each are `head`, its text as a JSON string, and its own entry in `tails`; `like` is the earlier event,
    as it was read.
    """

    lane: int
    texts: Sequence[str]
    head: bytes
    tails: Sequence[bytes]
    like: Chunk


@dataclass(slots=True)
class Chunk:
    """A piece of a response.

    `raw` is its bytes with their framing, None once it was changed: then it has to be encoded, in the manner of `like`,
    the bytes of what it was made from. `data` is the JSON document in it (None for what is no JSON object, and for
    events that need not be read); `event` the server-sent event's name, empty if it has none or if the response is no
    stream. It may not go to the client before `not_before`, in monotonic seconds, nor with `gaps` in it: the gateway
    waits and has them filled, actions do not. Where only texts are asked for, `saying` may stand in place of the
    document and the bytes. `parts` is what a wire found in the document, once it was asked.
    """

    raw: bytes | None
    data: dict[str, Any] | None = None
    event: str = ""
    not_before: float = 0.0
    like: bytes | None = None
    gaps: tuple[Gap, ...] = ()
    saying: Saying | None = None
    parts: Sequence[Any] | None = field(default=None, init=False, compare=False, repr=False)


@dataclass(slots=True)
class Progress:
    """What is known so far of a response, kept by a chunk decoder while the bytes pass.

    `usage` is the upstream's own figure (None until it came, or if it was absurd). `output_bytes` counts the UTF-8
    bytes of text, reasoning and tool arguments that came, for an estimate when the stream breaks. `complete` is true
    once the dialect's own end marker was seen. `failed` is the error type of an in-band error, empty otherwise.
    `refused` is true if the model declined to answer. `signatures` are the seals of reasoning blocks that came. `model`
    is the model that the answer names.
    """

    usage: Usage | None = None
    output_bytes: int = 0
    complete: bool = False
    failed: str = ""
    refused: bool = False
    signatures: list[str] = field(default_factory=list)
    model: str = ""


class Ties(NamedTuple):
    """The known template and cluster whose flags and budgets count for an exchange in one world, empty if none do."""

    template: str = ""
    cluster: str = ""


NO_TIES = Ties()


@dataclass(slots=True)
class Exchange:
    """One request and its response, from acceptance to the terminal record.

    `started` is wall time in seconds. `peer` is the client's address after trusted hops. `texts` is every string that
    the model would see, if anybody reads it, and `text_bytes` about how long they are in UTF-8; `fields` are the typed
    facts that rules read (see `proxy.fields`), `unknown` the names of those that a detector failed to tell. `prints`
    are the fingerprints of the texts, as `proxy.fingerprint.winnow` makes them, None if nobody asks for them.
    `template` is the known template that the prompt matches, whoever sends it, and `cluster` the campaign that the
    account is a member of, empty if there is none in either world; `ties` are those that count in enforcement,
    `shadow_ties` those that count in shadow. `foreign_handle` says that the request returns a handle of reasoning which
    was withheld from another tenant. `trace` is its place in a distributed trace. `rich` is what its conversation has
    besides messages of a role and a text, None until a detector looks for it.
    """

    id: str
    dialect: str
    peer: str
    user_agent: str
    client_request_id: str
    started: float
    principal: Principal
    call: Call | None = None
    texts: Sequence[Text] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    prints: Any = None
    template: str = ""
    cluster: str = ""
    ties: Ties = NO_TIES
    shadow_ties: Ties = NO_TIES
    foreign_handle: bool = False
    text_bytes: int = 0
    trace: Trace = NO_TRACE
    rich: list[Any] | None = None

    def forget_request(self) -> None:
        """Drop what was asked, except for the model: the exchange may wait a while to be recorded.

        The next exchange uses the memory again while it is still in the processor's cache.
        """
        self.texts, self.fields, self.rich = (), {}, None
        if self.call is not None:
            self.call = Call(self.call.model, self.call.stream, {})


class Answered(NamedTuple):
    """How an exchange ended, for those who learn from it: the status given, tokens used, and what was seen pass by.

    `refused` says that the model declined. `signatures` are the seals of reasoning blocks that the answer carried.
    """

    status: int
    usage: Usage
    refused: bool = False
    signatures: tuple[str, ...] = ()


def text_bytes(text: str) -> int:
    """Return a text's length in UTF-8; `isascii` reads a flag, so the common case costs nothing a character."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
