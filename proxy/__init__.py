"""Stillgate: a reverse proxy that makes a model expensive to copy through its API.

The words used everywhere: an *exchange* is one request and its response; a *principal* is the authenticated caller; a
*dialect* is an API's wire format; *call*, *chunk* and *usage* are the neutral view of a request, of a piece of a
response and of tokens; a *pack* is one YAML policy file; an *effect* is what was done: allow, degrade or deny; a
*decision record* is the one log line of an exchange; the *store* is where counters, flags and keys live.
"""

from __future__ import annotations

import os

# Set before numpy is imported: our matrix products are small, and OpenBLAS would divide them among threads that spin
# while they wait for each other: on a busy machine a product of 90 microseconds took 2,600. Every process of ours is
# for one core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
