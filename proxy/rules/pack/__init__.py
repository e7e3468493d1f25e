"""A pack as the engine uses it: its values, their fixed words, its amounts, and what its parts mean."""
