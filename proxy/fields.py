"""The one typed table of facts about an exchange; the decision record's columns and, later, the rules read from it."""

from __future__ import annotations

from typing import NamedTuple

Value = bool | int | str


class Field(NamedTuple):
    """One fact: its dotted name, its type, the value it has when nothing is known, and a sentence for authors."""

    name: str
    type: type[bool | int | str]
    default: Value
    description: str


FIELDS: tuple[Field, ...] = (
    Field("request.model", str, "", "The model asked for, by the name the settings list."),
    Field("request.stream", bool, False, "Whether a stream of server-sent events was asked for."),
    Field("request.choices", int, 1, "How many answers were asked for (`n`)."),
    Field("request.max_output_tokens", int, 0, "The client's own cap on output tokens; 0 if it gave none."),
    Field(
        "request.text_bytes",
        int,
        0,
        "UTF-8 bytes of text that the model would see; up to 16 kB the length of the whole body.",
    ),
    Field("request.tools", int, 0, "How many tools the request offers to the model."),
    Field("request.turns", int, 0, "How many messages the conversation has."),
)
