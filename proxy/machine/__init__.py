"""What a process has of its machine, and how it keeps within it: memory, open files, an event loop, a collector."""
