"""What a token is here: four characters, the last one of a text perhaps fewer.

Laws: the tokens of a text joined are the text; counting costs nothing, however long the prompt; a text cut at any place
has the same tokens up to the cut.
"""

from __future__ import annotations

from typing import Any

from proxy.standin.reading import to_json

TOKEN_CHARS = 4
_MEDIA_TOKENS = 85  # what one small image costs at the API that is imitated; sound and files are charged the same here
_MEDIA = frozenset({"image_url", "input_audio", "file", "image", "document"})


def count(text: str) -> int:
    """Return how many tokens a text has."""
    return -(-len(text) // TOKEN_CHARS)


def split(text: str) -> list[str]:
    """Return a text's tokens in order."""
    return [text[at : at + TOKEN_CHARS] for at in range(0, len(text), TOKEN_CHARS)]


def count_document(value: object) -> int:
    """Return the tokens of structured data (tools, arguments, results): those of its JSON."""
    return -(-len(to_json(value)) // TOKEN_CHARS)


def count_content(content: Any) -> int:  # noqa: ANN401 - a message's content is a string, a list of parts, or nothing
    """Return the tokens of a message's content: text as it stands, media at a flat price, the rest as JSON."""
    if isinstance(content, str):
        return count(content)
    return sum(count_part(part) for part in content or ())


def count_part(part: dict[str, Any]) -> int:
    """Return the tokens of one content part or block."""
    if part["type"] in _MEDIA:
        return _MEDIA_TOKENS
    text = part.get("text")
    return count(text) if isinstance(text, str) else count_document(part)
