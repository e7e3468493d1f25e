"""What a newcomer sees: a first key, and lines that work as they stand."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from proxy.auth.api_key import KeyRequest
from proxy.auth.key_registry import KeyRegistry
from proxy.errors import ConfigurationError

_FILE = "first.key"
_MODEL = "standin-large"


async def first_key(data: Path, registry: KeyRegistry) -> str:
    """Return the key for trying out, made at the first start and kept in the data folder for the next ones.

    Only the stand-in model is ever served with it by default, so that keeping it gives nothing away. Raises
    ConfigurationError if the file cannot be read or written.
    """
    path = data / _FILE
    try:
        if path.exists():
            secret = await asyncio.to_thread(path.read_text)
            if await registry.opens(secret.strip()):
                return secret.strip()
        minted = await registry.create(KeyRequest(account="first-account", tenant="first-tenant"))
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(minted.secret + "\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: the first key cannot be kept: {error.strerror}") from None
    return minted.secret


def welcome(url: str, key: str) -> str:
    """Return the page that `serve` prints when the stand-in model answers.

    What is to be copied stands at the left edge, since Python refuses a snippet that came with the page's margin.
    """
    return f"""
Stillgate guards a stand-in model at {url}.

Ask it from a shell:

curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "{_MODEL}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'

From Python (pip install openai):

from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{key}")
print(client.chat.completions.create(
    model="{_MODEL}", messages=[{{"role": "user", "content": "Say hello."}}]).choices[0].message.content)

Or (pip install anthropic):

from anthropic import Anthropic
client = Anthropic(base_url="{url}", api_key="{key}")
print(client.messages.create(
    model="{_MODEL}", max_tokens=200, messages=[{{"role": "user", "content": "Say hello."}}]).content[0].text)

Ctrl-C ends it; the next start finds its keys and quotas as they were."""
