"""The hunter at work: told through the store, one active of all; how its findings act, and what people say of them."""
