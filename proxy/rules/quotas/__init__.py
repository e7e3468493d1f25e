"""Callers held to their limits: reserved before, settled after, leased from the store, kept while it is away."""
