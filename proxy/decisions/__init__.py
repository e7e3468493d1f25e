"""The decision log: what a record says, how callers are named in it, and how its lines reach a disk or a pipe."""
