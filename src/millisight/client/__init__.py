"""Asks a millisight server over HTTP. Loads nothing that answers itself, httpx2 at first use."""

from millisight.client.asynchronous import AsyncClient
from millisight.client.blocking import Client

__all__ = ["AsyncClient", "Client"]
