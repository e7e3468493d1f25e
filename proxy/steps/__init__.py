"""The steps of a request's way, which `proxy.gateway` takes in order, and what they share."""
