"""What the parts of the settings file are: each section's keys, defaults and checks."""
