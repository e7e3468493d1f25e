"""What is decided about an exchange, whichever pack is in force, and how it goes from there to its end."""
