"""Files that a process writes: its folder, held by one at a time; a file replaced whole; one that may take nothing."""
