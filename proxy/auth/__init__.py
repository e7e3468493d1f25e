"""Who is calling: keys, the tokens of issuers, and the credential in a request's headers."""
