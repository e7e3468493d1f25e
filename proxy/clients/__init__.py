"""The way to clients: listening, connections, framing, and how answers are written."""
