"""Tells which form a request asks of its answer, and whether it has begun that itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UPDATE = "configuration_update"  # an item of a conversation that has such members too
_ASIDE = ("additional_tools", "compaction_trigger", _UPDATE)  # items that nobody says
_JSON = frozenset({"json", "json_object", "json_schema"})
# Those of the APIs, vLLM, SGLang, TGI, Fireworks and Together. Others are refused upstream, or mean nothing there.
_FORMS = _JSON | {"ebnf", "grammar", "lark", "python", "regex", "structural_tag"}


def is_structured(body: Mapping[str, Any]) -> bool:
    """Tell whether a form is asked for, such as JSON or a grammar: to change a word of that would be to break it.

    Of those that a conversation asks for on its way each holds until the next.
    """
    return not _FORMS.isdisjoint(_kinds([*_others(body), *_texts(body)[-1:]]))


def is_json(body: Mapping[str, Any]) -> bool:
    """Tell whether JSON is asked for, and nowhere some other form, which may have anything in it."""
    kinds = _kinds([*_others(body), *_texts(body)])
    return bool(kinds) and _JSON.issuperset(kinds)


def configured(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what says how to answer: a request itself, and what its conversation has of that later on."""
    return [body, *(item for item in _items(body) if isinstance(item, dict) and item.get("type") == _UPDATE)]


def begun_by(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return a conversation's last message if it is the assistant's, which many a model goes on with; else None."""
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
    """Return the forms of texts that are asked for, in a request itself and then on the way of its conversation."""
    texts = [each.get("text") for each in configured(body)]
    return [text["format"] for text in texts if isinstance(text, dict) and text.get("format") is not None]


def _others(body: Mapping[str, Any]) -> list[Any]:
    config = body.get("output_config")
    formats = [body.get("response_format"), body.get("output_format")]
    return [*formats, config.get("format")] if isinstance(config, dict) else formats


def _kinds(forms: list[Any]) -> list[str]:
    return [kind for form in forms if isinstance(form, dict) and isinstance(kind := form.get("type"), str)]
