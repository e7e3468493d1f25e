"""The policy language: packs, their checks, and the quotas that hold callers to them."""
