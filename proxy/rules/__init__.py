"""The policy language: packs and their checks, conditions, signals, flags, campaigns, the ladder, engine and quotas."""
