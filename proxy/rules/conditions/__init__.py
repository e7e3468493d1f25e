"""What a rule asks of an exchange: its shape, how packs write it, and the functions it is compiled to."""
