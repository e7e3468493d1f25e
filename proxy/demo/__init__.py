"""The demonstration: honest customers and a small campaign before a proxy of its own."""
