"""The API wire formats that Stillgate speaks. The built-in ones are in this table, by their exact path."""

from __future__ import annotations

from proxy.dialects.anthropic_count_tokens import AnthropicCountTokens
from proxy.dialects.anthropic_messages import AnthropicMessages
from proxy.dialects.base import Dialect
from proxy.dialects.openai_chat import OpenAIChat
from proxy.dialects.openai_completions import OpenAICompletions
from proxy.dialects.openai_embeddings import OpenAIEmbeddings
from proxy.dialects.openai_responses import OpenAIResponses


def dialects(allow: frozenset[str] = frozenset()) -> dict[str, Dialect]:
    """Return the dialects by path; `allow` names further top-level members that their requests may have.

    Raises ConfigurationError if one of those names is none that may be allowed.
    """
    table: tuple[Dialect, ...] = (
        OpenAIChat(allow),
        OpenAIResponses(allow),
        OpenAICompletions(allow),
        OpenAIEmbeddings(allow),
        AnthropicMessages(allow),
        AnthropicCountTokens(allow),
    )
    return {dialect.path: dialect for dialect in table}
