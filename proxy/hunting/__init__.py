"""The hunter at work: told through the store, one active of all that run, safe against its own death."""
