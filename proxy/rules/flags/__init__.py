"""Flags on accounts, tenants, templates and clusters: in force in one process, shared, and reviewed by people."""
