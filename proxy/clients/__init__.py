"""The way to clients: listening, connections, framing, and how answers are written."""

from __future__ import annotations

from proxy.without import in_parts

in_parts("aiohttp")  # five megabytes more, for a client and its sessions: a server's protocol is what is used of it
