"""How many letters of a prompt are winnowed: the bounds for packs, and the default."""

from __future__ import annotations

from typing import Final

LETTERS_LEAST: Final = 20_000  # more than prompts that are printed together have
LETTERS_USUAL: Final = 1 << 16
LETTERS_MOST: Final = 1_000_000  # up to 10 ms, in a thread of their own
