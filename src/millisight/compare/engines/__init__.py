"""The engines, one a file. The comparison finds them by looking here."""

import pkgutil
from importlib import import_module

from millisight.compare.protocol import Engine

REFERENCE = "torch_eager"
"""What all others are compared with."""


def engine_names() -> list[str]:
    """Every engine, the reference first."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return sorted(names, key=lambda name: name != REFERENCE)


def find_engine(name: str) -> Engine:
    """The engine in the file ``name``."""
    engine: Engine = import_module(f"{__name__}.{name}").ENGINE
    return engine
