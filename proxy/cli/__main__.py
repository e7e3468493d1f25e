"""Lets `python -m proxy.cli` do what `stillgate` does; the parent starts its children this way."""

from proxy.cli import main

main()
