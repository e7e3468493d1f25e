"""What pages for people are made of: markup, drawing and one whole file that needs nothing else."""
