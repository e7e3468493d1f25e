"""Random callers and requests for the random traffic, and an answer to them."""

from __future__ import annotations

import random
from typing import Any

from proxy.dialects.base import Dialect
from proxy.exchange import Call, Principal

TEMPLATE = "Grade the following answer to the question on a scale of one to ten and justify every single point. " * 2


def caller(rng: random.Random, opened: float) -> Principal:
    """Return one of twelve callers of three tenants; `opened` is the moment that ages count from."""
    tenant = rng.choice(("acme", "bee", "cat"))
    account = f"{tenant}-{rng.randint(0, 3)}"
    age = {"0": 0.2, "1": 12.0}.get(account[-1], 900.0)
    attributes = {"identity": "shown"} if account.endswith("3") else {}
    plan = "pro" if tenant == "cat" else "free"
    return Principal(f"k-{account}", account, tenant, plan, opened - age * 86_400, attributes)


def body(rng: random.Random, dialect: Dialect) -> dict[str, Any]:
    """Return a request, now and then one that is none."""
    name = dialect.name
    if rng.random() < 0.04:
        return {"model": "large", "messages": 3}
    text = TEMPLATE if rng.random() < 0.3 else f"What is {rng.random()} times {rng.random()}?"
    model = rng.choice(("large", "small", "new"))
    if name in {"openai.embeddings", "openai.responses"}:
        more = {"previous_response_id": "resp_another's"} if "resp" in name and rng.random() < 0.2 else {}
        return {"model": model, "input": text, **more}
    if name == "openai.completions":
        return {"model": model, "prompt": text, **({"logprobs": 3} if rng.random() < 0.4 else {})}
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}] * rng.randint(0, 2)
    made: dict[str, Any] = {"model": model, "messages": [*turns, {"role": "user", "content": text}]}
    if name == "anthropic.messages":
        made["max_tokens"] = rng.choice((16, 400))
    if name.startswith("anthropic"):
        return made
    optional: dict[str, Any] = {
        "logprobs": True,
        "logit_bias": {str(rng.randint(1, 40)): 5 for _ in range(3)},
        "n": rng.randint(1, 4),
        "temperature": rng.choice((0.2, 0.7, 1.7)),
        "stream": True,
        "max_tokens": rng.choice((16, 400)),
    }
    made |= {key: value for key, value in optional.items() if rng.random() < 0.4}
    if made.get("logprobs") and rng.random() < 0.5:
        made["top_logprobs"] = rng.randint(1, 5)
    return made


def completion(asked: Call) -> dict[str, Any]:
    """Return a whole answer to a chat, with log-probabilities if they were asked for."""
    message = {"role": "assistant", "content": "It is about the same as before, and so we begin with a big one."}
    logprobs = {"content": [{"token": "It", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    if asked.body.get("logprobs"):
        choice["logprobs"] = logprobs
    return {"id": "c", "object": "chat.completion", "created": 1, "model": asked.model, "choices": [choice]}
