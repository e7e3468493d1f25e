"""What a process gets from its machine and how it stays within it: libraries, memory, files, loop, collector."""
