"""What a process has of its machine, and how it keeps within it: libraries, memory, files, loop, collector."""
