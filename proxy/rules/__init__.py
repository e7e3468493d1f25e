"""The policy language: the engine, the ladder, and what explains, compares and mutates packs; the rest by room."""
