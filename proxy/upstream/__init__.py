"""The way to model APIs: connections, their pool, calls, who may be inside at once, when a model is left alone."""
