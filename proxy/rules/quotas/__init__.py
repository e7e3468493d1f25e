"""Holding callers to limits: reserve before, settle after, lease from the store, go on while it is away."""
