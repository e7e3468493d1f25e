"""From a pack's file to a pack, or to everything that is wrong with it: schema, checks, warnings, building."""
