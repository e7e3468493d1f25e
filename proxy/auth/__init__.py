"""Who is calling: keys, and the credential in a request's headers."""
