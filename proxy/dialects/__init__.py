"""The API wire formats that Stillgate speaks: the built-in ones, and those that join through `stillgate.dialects`."""

from __future__ import annotations

from proxy.dialects.anthropic_count_tokens import AnthropicCountTokens
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import Dialect
from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.openai_completions import OpenAICompletions
from proxy.dialects.openai_embeddings import OpenAIEmbeddings
from proxy.dialects.openai_responses import OpenAIResponses
from proxy.errors import ConfigurationError
from proxy.joining import Group, joined_by_name

MODELS_PATH = "/v1/models"


def dialects(allow: frozenset[str] = frozenset()) -> dict[str, Dialect]:
    """Return the dialects by their exact path; `allow` names further top-level members that requests may have.

    Raises ConfigurationError for a name that must not be allowed, and for a joined dialect that cannot be used.
    """
    built_in: tuple[Dialect, ...] = (
        OpenAIChat(allow),
        OpenAIResponses(allow),
        OpenAICompletions(allow),
        OpenAIEmbeddings(allow),
        AnthropicMessages(allow),
        AnthropicCountTokens(allow),
    )
    table = {dialect.path: dialect for dialect in built_in}
    for name, kind in joined_by_name(Group.DIALECTS, Dialect, [dialect.name for dialect in built_in]).items():
        path: object = kind.path
        if not isinstance(path, str) or not path.startswith("/") or path == MODELS_PATH or path in table:
            raise ConfigurationError(f"the dialect {name} cannot have the path {path!r}: it is none, or taken")
        try:
            table[path] = kind(allow)
        except Exception as error:
            raise ConfigurationError(f"the dialect {name} cannot be made: {error}") from error
    return table
