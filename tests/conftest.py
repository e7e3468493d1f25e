"""What holds for every test: how long an example takes is no failure, since machines are slow and shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
