"""The way to model APIs: connections, their pool, calls, and when a model is left alone."""
