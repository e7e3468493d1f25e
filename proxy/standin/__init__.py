"""The stand-in model: a model API without a model, for a first run, tests with the official clients, and benchmarks.

It speaks every API that the proxy does exactly, answers in prose of its own, and says the same words to the same
request. It shares no code with the dialects, so that a misreading on one side shows on the other.
"""
