"""What a key of the deployment is needed for: names, tags, seals and turns that nobody else can make or read."""
