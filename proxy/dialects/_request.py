"""The checks that every dialect makes of a request document.

Laws: a refusal is in words for the client, with the place in `param`; nothing is changed or filled in.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from proxy.dialects._names import names
from proxy.errors import BadRequest, ConfigurationError
from proxy.exchange import Kept
from proxy.keyed.issued_ids import StateRefused, place

# Members that steer a client library or another gateway: an upstream behind such a gateway would take them for another
# origin or another credential.
ROUTING = names(
    "api_base api_key api_type api_version azure_endpoint base_url callbacks custom_llm_provider deployment_id engine "
    "extra_body extra_headers extra_query fallbacks headers model_list organization project proxies proxy router "
    "timeout user_profile_id workspace_id"
)
# Members that name what an upstream keeps. All tenants share one upstream credential, so an id proves no ownership.
STATE = names(
    "assistant_id background comparison_response_id container container_id conversation conversation_id file_id "
    "file_ids mcp_servers previous_interaction_id previous_message_id previous_response_id prompt prompt_id session_id "
    "skill_id skills thread thread_id vector_store_id vector_store_ids"
)
_WITHIN = STATE - {"background"}  # further down `background` is about a picture
_OF_LOCAL_SKILL = names("description name path")  # members of a skill that the client keeps itself
_OF_OPEN_SKILL = names("skill_id type version")  # members of a skill that everybody has
_OF_BUNDLE = names("data media_type type")  # members of a skill that a request brings along
# Members of `STATE` whose value is an id or a list of ids: an id may have been given to the tenant, or be public.
_IDS = names(
    "comparison_response_id container container_id conversation conversation_id file_id file_ids previous_response_id "
    "vector_store_id vector_store_ids"
)
_OBJECTS = frozenset({"container", "conversation"})  # which may be an object with an id
_MODEL = re.compile(r"[A-Za-z0-9._:/@-]{1,128}")
_SHOWN_NAME_CHARS = 64
_MAX_MESSAGES = 10_000

Path = tuple[str | int, ...]


def accepted_names(known: frozenset[str], allow: frozenset[str]) -> frozenset[str]:
    """Return the top-level names that a dialect takes: its own and those that the operator adds.

    Raises ConfigurationError for an addition that steers, that names upstream state, or that an upstream could take for
    another accepted name.
    """
    folded = {fold(name): name for name in known | ROUTING | STATE}
    for name in sorted(allow - known):
        other = folded.setdefault(fold(name), name)
        if other != name or name in ROUTING or name in STATE:
            raise ConfigurationError(
                f"The request argument {shown(name)!r} cannot be allowed: it stands for {other!r}."
            )
    return known | allow


def fold(name: str) -> str:
    """Return a name as a careless reader may take it: without differences in width, case and invisible characters."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in plain if unicodedata.category(char) not in {"Cc", "Cf", "Mn", "Zs"})


def shown(name: str) -> str:
    """Return a client's name for something, clipped, with every character that does not print replaced."""
    return "".join(char if char.isprintable() else "?" for char in name[:_SHOWN_NAME_CHARS])


def check_names(body: dict[str, Any], accepted: frozenset[str]) -> None:
    """Refuse top-level members that the dialect does not take, except a null where upstream state would be named."""
    if body.keys() <= accepted:
        return
    for name, value in body.items():
        if name in accepted:
            continue
        if name not in STATE:
            argument = shown(name)
            message = f"Unrecognized request argument supplied: {argument}"
            raise BadRequest(message, code="unknown_parameter", param=argument)
        if value is not None:
            raise StateRefused(name)


def kept_ids(node: object, where: Path, free: frozenset[str] = frozenset()) -> list[Kept]:
    """Return the ids of what the upstream keeps, at any depth but not in the members `free`, which hold free documents.

    Refuses members that name upstream state in another way than by ids.
    """
    if not _names_state(node, free):  # nearly always so, and seen in half the time
        return []
    found: list[Kept] = []
    waiting = [(node, where)]
    while waiting:
        node, where = waiting.pop()
        if type(node) is dict:
            for name, value in node.items():
                if name == "skills" and _are_open(value):
                    continue
                if name in _WITHIN and value is not None:
                    found += _named(name, value, (*where, name))
                if name not in free:
                    waiting.append((value, (*where, name)))
        elif type(node) is list:
            waiting += [(item, (*where, index)) for index, item in enumerate(node)]
    return found


def _names_state(node: object, free: frozenset[str]) -> bool:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            for name, value in node.items():
                if name in _WITHIN and value is not None:
                    return True
                if name not in free:
                    waiting.append(value)
        elif type(node) is list:
            waiting += node
    return False


def _named(name: str, value: object, path: Path) -> list[Kept]:
    if name in _IDS and type(value) is str:
        return [Kept(path)]
    if name in _IDS and name.endswith("_ids") and type(value) is list and all(type(item) is str for item in value):
        return [Kept((*path, index)) for index in range(len(value))]
    if name in _OBJECTS and type(value) is dict:  # without an id, it is made for this request
        return [Kept((*path, "id"))] if type(value.get("id")) is str else []
    raise StateRefused(place(path))


def _are_open(skills: object) -> bool:
    """Tell whether all skills are the client's own, or Anthropic's, which everybody may use."""
    return type(skills) is list and bool(skills) and all(map(_is_open, skills))


def _is_open(skill: object) -> bool:
    if type(skill) is not dict:
        return False
    if type(kind := skill.get("type")) is str and kind == "inline" and _is_plain(skill.get("source"), _OF_BUNDLE):
        skill = {name: value for name, value in skill.items() if name not in ("type", "source")}
    return _is_plain(skill, _OF_OPEN_SKILL if kind == "anthropic" else _OF_LOCAL_SKILL)


def _is_plain(node: object, known: frozenset[str]) -> bool:
    """Tell whether a node is an object of texts, with known members only."""
    return type(node) is dict and node.keys() <= known and all(type(value) is str for value in node.values())


def wrong(where: str, must: str) -> BadRequest:
    """Return the refusal of a value that has the wrong type or is out of bounds."""
    return BadRequest(f"`{where}` must be {must}.", param=where)


def model(body: dict[str, Any]) -> str:
    """Return the model asked for."""
    name = body.get("model")
    if type(name) is not str or not _MODEL.fullmatch(name):
        raise wrong("model", "the name of a model")
    return name


def flag(body: dict[str, Any], name: str, where: str = "") -> bool:
    """Return a member that is true or false; missing or null means false."""
    value = body.get(name)
    if value is not None and type(value) is not bool:
        raise wrong(f"{where}{name}", "true or false")
    return value is True


def whole(body: dict[str, Any], name: str, least: int, most: int | None = None) -> int | None:
    """Return an integer within bounds, None if it is missing or null."""
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or value < least or (most is not None and value > most):
        raise wrong(
            name, f"an integer from {least} to {most}" if most is not None else f"an integer of at least {least}"
        )
    return value


def objects(body: dict[str, Any], name: str, most: int, where: str = "") -> list[dict[str, Any]]:
    """Return a list of objects, empty if it is missing or null."""
    value = body.get(name)
    if value is None:
        return []
    if type(value) is not list or len(value) > most:
        raise wrong(f"{where}{name}", f"a list of at most {most:,} objects")
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise wrong(f"{where}{name}[{index}]", "an object")
    return value


def messages(body: dict[str, Any], roles: frozenset[str]) -> list[dict[str, Any]]:
    """Return the messages of a conversation, each an object with a known role."""
    value = body.get("messages")
    if type(value) is not list or not 0 < len(value) <= _MAX_MESSAGES:
        objects(body, "messages", _MAX_MESSAGES)
        raise wrong("messages", "a list with at least one message")
    for index, message in enumerate(value):
        role = message.get("role") if type(message) is dict else None
        if type(role) is not str or role not in roles:
            objects(body, "messages", _MAX_MESSAGES)  # a message that is no object is reported first
            raise wrong(f"messages[{index}].role", f"one of {', '.join(sorted(roles))}")
    return value


def stops(body: dict[str, Any], name: str, most: int) -> None:
    """Check a list of stop sequences."""
    value = body.get(name)
    if value is None:
        return
    if type(value) is not list or len(value) > most or any(type(stop) is not str for stop in value):
        raise wrong(name, f"a list of at most {most} strings")
