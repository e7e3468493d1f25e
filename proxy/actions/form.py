"""Tells which form a request asks of its answer, and whether it has begun the answer itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UPDATE = "configuration_update"  # an item of a conversation that sets members of the request
_ASIDE = ("additional_tools", "compaction_trigger", _UPDATE)  # items that are no messages
_JSON = frozenset({"json", "json_object", "json_schema"})
# Forms of the APIs, vLLM, SGLang, TGI, Fireworks and Together. Others are refused upstream, or mean nothing there.
_FORMS = _JSON | {"ebnf", "grammar", "lark", "python", "regex", "structural_tag"}


def is_structured(body: Mapping[str, Any]) -> bool:
    """Tell whether a form is asked for, such as JSON or a grammar, which changing a word would break.

    If a conversation asks for several, each holds until the next.
    """
    return not _FORMS.isdisjoint(_kinds([*_others(body), *_texts(body)[-1:]]))


def is_json(body: Mapping[str, Any]) -> bool:
    """Tell whether JSON is asked for, and nowhere another form, which may contain anything."""
    kinds = _kinds([*_others(body), *_texts(body)])
    return bool(kinds) and _JSON.issuperset(kinds)


def configured(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the request and the items of its conversation that change its settings."""
    return [body, *(item for item in _items(body) if isinstance(item, dict) and item.get("type") == _UPDATE)]


def begun_by(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a conversation's last message if it is the assistant's, which many models continue; else None."""
    given = body.get("messages")
    if isinstance(given, list):
        last = given[-1] if given else None
    else:
        last = next(filter(_is_said, reversed(_items(body))), None)
    return last if isinstance(last, dict) and last.get("role") == "assistant" else None


def _items(body: Mapping[str, Any]) -> list[Any]:
    items = body.get("input")
    return items if isinstance(items, list) else []


def _is_said(item: object) -> bool:
    return not isinstance(item, dict) or item.get("type") not in _ASIDE


def _texts(body: Mapping[str, Any]) -> list[Any]:
    """Return the forms of texts that are asked for, by the request and then in its conversation."""
    texts = [each.get("text") for each in configured(body)]
    return [text["format"] for text in texts if isinstance(text, dict) and text.get("format") is not None]


def _others(body: Mapping[str, Any]) -> list[Any]:
    config = body.get("output_config")
    formats = [body.get("response_format"), body.get("output_format")]
    return [*formats, config.get("format")] if isinstance(config, dict) else formats


def _kinds(forms: list[Any]) -> list[str]:
    return [kind for form in forms if isinstance(form, dict) and isinstance(kind := form.get("type"), str)]
