"""The way to model APIs: connections and their pool, calls, places for them, and when a model is left alone."""
