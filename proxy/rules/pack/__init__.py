"""A pack as the engine uses it: its values, the words it chooses from, its amounts, and what its parts mean."""
