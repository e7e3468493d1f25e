"""The policy language: at the top the engine, the ladder, and what explains, compares and nudges; else by room."""
