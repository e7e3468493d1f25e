"""Reads a request for the completion of texts: which members it may have, and what may stand in them.

Only what is interpreted here or by a quota is checked for its type; the rest is the upstream's to judge.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.dialects import _request as request
from proxy.dialects._names import names
from proxy.dialects._openai_request import MAX_CHOICES, check_sampling, prompt_tokens, usage_asked
from proxy.errors import BadRequest
from proxy.exchange import Call

# The top-level members of the API, as of 2026: those that no model sees, and all.
SETTINGS = names(
    "best_of echo frequency_penalty logit_bias logprobs max_tokens model n presence_penalty seed stop stream "
    "stream_options temperature top_p user"
)
KNOWN = SETTINGS | names("prompt suffix")
USUAL_TOKENS: Final = 16  # the API's default for `max_tokens`
_MAX_ANSWERS = 1_024  # to all prompts, with those that `best_of` discards
_MAX_LOGPROBS = 100  # the API gives 5, and other servers what they are set to


def call_of(document: dict[str, Any], accepted: frozenset[str]) -> Call:
    """Check a document that was read strictly; `accepted` are the top-level names that may occur."""
    request.check_names(document, accepted)
    model = request.model(document)
    prompts, token_ids = 1, 0
    if document.get("prompt") is not None:  # null: a completion from nothing
        prompts, token_ids = prompt_tokens(document, "prompt", _MAX_ANSWERS)
    if type(document.get("suffix", "")) not in (str, type(None)):
        raise request.wrong("suffix", "a string")
    stream = request.flag(document, "stream")
    asked = usage_asked(document, stream=stream)
    check_sampling(document)
    request.flag(document, "echo")
    request.whole(document, "logprobs", 0, _MAX_LOGPROBS)
    choices = request.whole(document, "n", 1, MAX_CHOICES) or 1
    best_of = request.whole(document, "best_of", 1, MAX_CHOICES)
    if best_of is not None and best_of < choices:
        raise BadRequest("`best_of` must be at least `n`.", param="best_of")
    if prompts * (best_of or choices) > _MAX_ANSWERS:
        raise BadRequest(f"The request asks for more than {_MAX_ANSWERS:,} answers.", param="prompt")
    most = request.whole(document, "max_tokens", 0)
    return Call(
        model,
        stream,
        document,
        USUAL_TOKENS if most is None else most,
        choices,
        hide_usage=stream and not asked,
        prompts=prompts,
        best_of=best_of or 1,
        token_ids=token_ids,
    )
