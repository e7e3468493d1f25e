"""Judges recorded exchanges again: to explain one, and to see what another pack would have said to all of them."""
