"""What a prompt is recognised by without being kept: canonical characters, and keyed prints of runs of them."""
