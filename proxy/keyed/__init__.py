"""What keys of the deployment are for: names, tags, seals, turned vectors; sample keys, and changing the secret."""
