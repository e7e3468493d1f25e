"""The proxy of the demonstration: its own folder, ports, store and stand-in model, and a key for each customer.

Law: nothing of it is left when the context ends, however it ends.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp

from proxy.auth.api_key import KeyRequest
from proxy.clock import Clock
from proxy.config import load_settings, shipped_pack
from proxy.demo.cast import Customer
from proxy.processes.deployment import Deployment
from proxy.processes.supervisor import Launch, deploy

_MODEL = "standin-large"
_PACK = "strict.yaml"
_JUDGE_SECONDS = 1.0  # of the settings; thirty in an ordinary deployment
_DAY_S = 86_400.0
_ANSWER_S = 30.0


class Answer(NamedTuple):
    """What a customer got: `limited` if the proxy answered from its ladder, and whether log-probabilities came."""

    status: int
    limited: bool
    logprobs: bool


_NO_ANSWER = Answer(0, limited=False, logprobs=False)


class Scene:
    """A proxy that runs, and the keys of those who were invited."""

    def __init__(self, deployment: Deployment, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.deployment = deployment
        self._session = session
        self._clock = clock
        self._keys: dict[str, str] = {}

    async def invite(self, customers: Sequence[Customer]) -> None:
        """Make a key for each customer, with what a provider's billing knows of the account."""
        now = self._clock.wall()
        requests = [
            KeyRequest(
                customer.account,
                customer.tenant,
                created_at=now - customer.opened_days * _DAY_S,
                attributes=(("payment", customer.payment),),
            )
            for customer in customers
        ]
        made = await self.deployment.registry.create_all(requests)
        self._keys |= {customer.account: one.secret for customer, one in zip(customers, made, strict=True)}

    async def ask(self, customer: Customer, words: str) -> Answer:
        """Send one request as the customer's own program would, through the load balancer of the demonstration."""
        messages = [{"role": "system", "content": customer.system}] if customer.system else []
        body: dict[str, object] = {
            "model": _MODEL,
            "messages": [*messages, {"role": "user", "content": words}],
            "max_tokens": customer.most_tokens,
        }
        if customer.logprobs:
            body["logprobs"] = True
        headers = {
            "Authorization": f"Bearer {self._keys[customer.account]}",
            "User-Agent": customer.agent,
            "X-Forwarded-For": customer.address,
        }
        url = f"{self.deployment.data_url}/v1/chat/completions"
        try:
            async with self._session.post(url, json=body, headers=headers) as response:
                document = await response.json()
        except (aiohttp.ClientError, TimeoutError):
            return _NO_ANSWER
        choices = document.get("choices") or [{}]
        return Answer(response.status, "stillgate-limited" in response.headers, bool(choices[0].get("logprobs")))


@asynccontextmanager
async def scene(clock: Clock) -> AsyncIterator[Scene]:
    """Start it all in a folder for temporary files, and end it all."""
    with tempfile.TemporaryDirectory(prefix="stillgate-demo-") as folder:
        config = Path(folder) / "stillgate.yaml"
        config.write_text(json.dumps(_settings()))  # JSON is YAML
        settings = load_settings(config, {})
        async with deploy(Launch(settings, "error"), clock) as deployment:
            timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
            async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
                yield Scene(deployment, session, clock)
            deployment.stop(0.5)


def _settings() -> dict[str, object]:
    return {
        "apiVersion": "stillgate/v1",
        "kind": "Settings",
        "listen": {"host": "127.0.0.1", "port": 0},
        "admin": {"port": 0},
        "data": "data",
        "pack": str(shipped_pack(_PACK)),
        "hunter": {"judge_seconds": _JUDGE_SECONDS},
        "decision_log": {"checkpoints_to_stdout": False},  # where the demonstration's own words go
        "trusted_hops": 1,
    }
