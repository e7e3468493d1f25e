"""Finds campaigns: accounts of many tenants that copy the model together."""
