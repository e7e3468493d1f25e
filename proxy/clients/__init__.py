"""The way to clients: listening, connections, framing, and how answers are written."""

from __future__ import annotations

from proxy.without import in_parts

in_parts("aiohttp")  # spares five megabytes for a client and its sessions: only the server's protocol is used
