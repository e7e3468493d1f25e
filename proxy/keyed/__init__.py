"""What a key of the deployment is needed for: names, tags, seals, turns; keys of samples, and another master secret."""
