"""Sends recorded or generated traffic through the engine and the hunter that serve customers, on a virtual clock."""
