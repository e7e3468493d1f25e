"""Runs a pack's own tests: the production engine, detectors, quotas and actions on a clock that is moved by hand."""
