"""Lets `python -m proxy.cli` do what `stillgate` does."""

from proxy.cli import main

main()
