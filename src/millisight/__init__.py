"""millisight: image classification in milliseconds on a plain CPU, with nothing sent anywhere."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millisight.answers import Prediction, Result
    from millisight.classifier import Classifier, load
    from millisight.client import AsyncClient, Client
    from millisight.errors import MillisightError

__version__ = version("millisight")

__all__ = [
    "AsyncClient",
    "Classifier",
    "Client",
    "MillisightError",
    "Prediction",
    "Result",
    "__version__",
    "load",
]

_HOMES = {
    "AsyncClient": "client",
    "Classifier": "classifier",
    "Client": "client",
    "MillisightError": "errors",
    "Prediction": "answers",
    "Result": "answers",
    "load": "classifier",
}

# Type checkers would believe in every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A public name, imported when it is asked for: who only asks a server, and a shell that
        completes a command, do not wait for what classifies pictures."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
