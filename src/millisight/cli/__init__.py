"""The command line: one file a command."""

from millisight.cli.main import main

__all__ = ["main"]
