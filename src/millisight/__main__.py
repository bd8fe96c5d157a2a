"""``python -m millisight`` is the command ``millisight``."""

from millisight.cli import main

main()
