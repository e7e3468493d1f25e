"""How many letters of a prompt are winnowed: what a pack may say, and what holds if it says nothing."""

from __future__ import annotations

from typing import Final

LETTERS_LEAST: Final = 20_000  # more than are taken together with those of other prompts
LETTERS_USUAL: Final = 1 << 16
LETTERS_MOST: Final = 1_000_000  # up to 10 ms, in a thread of their own
