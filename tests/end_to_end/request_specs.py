"""Requests with any number of things wrong with them, and what a judge who knows what is wrong may expect of the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from json import dumps

from hypothesis import strategies as st

from tests.dialects.json_cases import FREE, INVALID, VALID
from tests.rig.invariants import Dialect
from tests.rig.raw_client import chunk
from tests.rig.speech import CHAT, COUNT, MESSAGES, RESPONSES, Speech

Framing = Callable[[bytes], tuple[list[str], bytes]]  # lines, and the body as it is sent

# What is sent in place of the usual line; what is doubtful about it ends the connection.
HOSTS = {"usual": ["Host: a"], "none": [], "two": ["Host: a", "Host: a"], "odd": ["Host: a@b"], "port": ["Host: a:x"]}
STARTS = {
    "usual": "{method} {path} HTTP/1.1",
    "1.2": "{method} {path} HTTP/1.2",
    "2.0": "{method} {path} HTTP/2.0",
    "absolute": "{method} http://a{path} HTTP/1.1",
    "a space": "{method} {path} x HTTP/1.1",
    "a tab": "{method}\t{path} HTTP/1.1",
}
CREDENTIALS = {
    "bearer": ["Authorization: Bearer {key}"],
    "x-api-key": ["x-api-key: {key}"],
    "none": [],
    "unknown": ["Authorization: Bearer sk-unknown-0123456789abcdef"],
    "both": ["Authorization: Bearer {key}", "x-api-key: {key}"],
    "two": ["x-api-key: {key}", "x-api-key: {key}"],
    "basic": ["Authorization: Basic {key}"],
}
TYPES = {
    "usual": ["Content-Type: application/json"],
    "none": [],
    "text": ["Content-Type: text/plain"],
    "two": ["Content-Type: application/json", "Content-Type: application/json"],
    "utf-16": ["Content-Type: application/json; charset=utf-16"],
}
# Lines that change nothing, then such that do.
HARMLESS = [
    "X-A: b",
    "Accept: */*",
    "Connection: keep-alive",
    "X-Forwarded-For: 1.2.3.4",
    "Cookie: a=b",
    "TE: trailers",
]
FLAWED = ["X-A : b", " X-A: b", "X-A", "X-\x01: b", "X-A: b\rX-B: c", "X-A: \0", ": b", "X-A: " + "b" * 9_000]
_APART = 100  # bytes of pieces that are few enough to be sent with a rest between them
_GOOD_FRAMINGS = ("length", "chunked", "crumbs", "extensions", "trailers")
JSON_TEXTS = [*VALID[:40], *INVALID[:60], *FREE[:20]]


@dataclass(frozen=True)
class Spec:
    """One request."""

    speech: Speech
    method: str
    start: str
    host: str
    credential: str
    kind: str
    lines: tuple[str, ...]
    framing: str
    body: str  # usual, or a text in its place
    encoding: bool
    model: str
    pieces_of: int | None

    @property
    def dialect(self) -> Dialect:
        return self.speech.family

    @property
    def rest_s(self) -> float:
        """How long the client rests behind each piece, so that a peer in another process reads it on its own."""
        return 0.002 if self.pieces_of == _APART else 0.0

    @property
    def flaws(self) -> list[str]:
        """What of it two parsers could read in two ways: its connection must end."""
        found = [name for name, fine in ((self.start, "usual"), (self.host, "usual")) if name != fine]
        found += [line for line in self.lines if line in FLAWED] + ["two types"] * (self.kind == "two")
        return found + ([] if self.framing in _GOOD_FRAMINGS else [self.framing])

    @property
    def faults(self) -> list[str]:
        """What else keeps it from being answered by the model."""
        pairs = ((self.method, "POST"), (self.kind, "usual"), (self.body, "usual"), (self.model, "m-large"))
        found = [name for name, fine in pairs if name != fine]
        found += [] if self.credential in ("bearer", "x-api-key") else [self.credential]
        return found + ["encoding"] * self.encoding

    def raw(self, key: str) -> bytes:
        """Write it."""
        document = {**self.speech.ask("hi"), "model": self.model}
        body = (dumps(document) if self.body == "usual" else self.body).encode()
        framing, sent = FRAMINGS[self.framing](body)
        start = STARTS[self.start].format(method=self.method, path=self.speech.path)
        if self.framing == "chunked in 1.0":
            start = start.replace("HTTP/1.1", "HTTP/1.0")
        lines = [start, *HOSTS[self.host], *CREDENTIALS[self.credential], *TYPES[self.kind], *self.lines, *framing]
        lines += ["Content-Encoding: gzip"] * self.encoding
        return "\r\n".join([*lines, "", ""]).replace("{key}", key).encode("latin-1") + sent


def _sized(length: str) -> Framing:
    return lambda body: ([f"Content-Length: {length.format(len(body))}"], body)


def _coded(*lines: str) -> Framing:
    return lambda body: (list(lines), _whole(body) + chunk(b""))


def _whole(body: bytes) -> bytes:
    return chunk(body) if body else b""


_CHUNKED = "Transfer-Encoding: chunked"
FRAMINGS: dict[str, Framing] = {
    "length": _sized("{}"),
    "chunked": _coded(_CHUNKED),
    "crumbs": lambda body: ([_CHUNKED], b"".join(chunk(body[at : at + 1]) for at in range(len(body))) + chunk(b"")),
    "extensions": lambda body: ([_CHUNKED], _whole(body).replace(b"\r\n", b";a=b;c\r\n", 1) + b"0;d\r\n\r\n"),
    "trailers": lambda body: ([_CHUNKED], _whole(body) + b"0\r\nAuthorization: Bearer x\r\nX-A: b\r\n\r\n"),
    "both": lambda body: ([f"Content-Length: {len(body)}", _CHUNKED], _whole(body) + chunk(b"")),
    "two lengths": lambda body: ([f"Content-Length: {len(body)}", f"Content-Length: {len(body) + 1}"], body),
    "signed": _sized("+{}"),
    "hexadecimal": _sized("{:#x}"),
    "gzip": _coded("Transfer-Encoding: gzip, chunked"),
    "chunked twice": _coded(_CHUNKED, _CHUNKED),
    "a bad size": lambda _: ([_CHUNKED], b"0x5\r\nabcde\r\n0\r\n\r\n"),
    "a size of 17 digits": lambda body: ([_CHUNKED], b"1" + b"0" * 16 + b"\r\n" + body + b"\r\n0\r\n\r\n"),
    "chunked in 1.0": _coded(_CHUNKED),
}


def _mostly(usual: str, others: list[str]) -> st.SearchStrategy[str]:
    """Draw what is usual four times in five: with everything wrong at once, only the first fault would be seen."""
    return st.sampled_from([usual] * (4 * len(others)) + others)


SPECS = st.builds(
    Spec,
    speech=st.sampled_from([CHAT, CHAT, MESSAGES, RESPONSES, COUNT]),
    method=_mostly("POST", ["GET", "PUT", "OPTIONS", "DELETE"]),
    start=_mostly("usual", list(STARTS)[1:]),
    host=_mostly("usual", list(HOSTS)[1:]),
    credential=_mostly("bearer", list(CREDENTIALS)[1:]),
    kind=_mostly("usual", list(TYPES)[1:]),
    lines=st.lists(_mostly(HARMLESS[0], HARMLESS[1:]) | _mostly(HARMLESS[1], FLAWED), max_size=3).map(tuple),
    framing=_mostly("length", list(FRAMINGS)[1:]),
    body=_mostly("usual", JSON_TEXTS),
    encoding=st.sampled_from([False] * 9 + [True]),
    model=_mostly("m-large", ["m-none", "../m"]),
    pieces_of=st.sampled_from([None, None, None, 1, 7, _APART]),
)
