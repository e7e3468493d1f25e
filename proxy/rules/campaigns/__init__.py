"""Campaigns as the gateway knows them: published, matched against prompts, flagged, and whom they reach."""
