"""Speaks HTTP, and nothing else: every answer is made by ``millisight.classifier``."""

from millisight.server.app import create_app

__all__ = ["create_app"]
