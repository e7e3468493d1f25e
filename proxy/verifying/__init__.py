"""Verifies decision logs: shares no code with what writes them, and needs nothing but the standard library and Ed25519.

What a line is: a JSON object in UTF-8 and a newline, whose last two members are `seq`, its number in its writer's
chain, and `prev`, the SHA-256 of the line before it in that chain (without the newline; 64 zeros before the first).
A line of the kind `checkpoint` holds a signed note that says where the chain stands.
"""
