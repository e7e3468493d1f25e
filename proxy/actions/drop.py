"""Takes parameters out of a call that tell more of a model than its text does; the upstream never computes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from proxy.actions.base import Tools
from proxy.actions.reading import one_of
from proxy.exchange import Call, Exchange

# What an author names, and the members of a request that it stands for.
_MEMBERS = {
    "logprobs": ("logprobs", "top_logprobs"),
    "top_logprobs": ("top_logprobs",),
    "logit_bias": ("logit_bias",),
}


@dataclass(frozen=True, slots=True)
class Drop:
    """The action, and at work: it keeps nothing of an exchange."""

    what: tuple[str, ...]

    name: ClassVar[str] = "drop"
    summary: ClassVar[str] = "Removes parameters from the call, so that the answer does not have what they ask for."
    parameters: ClassVar[dict[str, str]] = {
        "logprobs": "Log-probabilities, and their alternatives.",
        "top_logprobs": "The alternatives only.",
        "logit_bias": "The bias on chosen tokens.",
    }
    discloses: ClassVar[str] = "the answer lacks what was asked for"

    @classmethod
    def read(cls, value: Any) -> Drop:  # noqa: ANN401 - a value of a YAML file
        """Make one of what the pack says."""
        return cls(one_of(value, _MEMBERS, "what can be dropped"))

    def begin(self, exchange: Exchange, tools: Tools) -> Drop:
        """Return the action for one exchange."""
        del exchange, tools
        return self

    async def on_call(self, call: Call) -> Call:
        """Return the call without what is dropped."""
        # With all that belongs to it: `top_logprobs: 0` without `logprobs` would be refused upstream.
        gone = {member for name in self.what if any(map(call.body.get, _MEMBERS[name])) for member in _MEMBERS[name]}
        if not gone:
            return call
        return replace(call, body={name: value for name, value in call.body.items() if name not in gone})
