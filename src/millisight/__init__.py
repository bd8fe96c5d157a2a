"""millisight: image classification in milliseconds on a plain CPU, with nothing sent anywhere."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from millisight.answers import Prediction, Result
from millisight.errors import MillisightError

if TYPE_CHECKING:
    from millisight.classifier import Classifier, load
    from millisight.client import AsyncClient, Client
else:
    # Imported when they are used, so that who only asks a server loads nothing that answers.
    _HOMES = {
        "AsyncClient": "millisight.client",
        "Classifier": "millisight.classifier",
        "Client": "millisight.client",
        "load": "millisight.classifier",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})


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
