"""What a prompt is known by without being kept: canonical characters, and keyed prints of runs of them."""
