"""millisight: image classification in milliseconds on a plain CPU, with nothing sent anywhere."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millisight.classifier import Classifier, Result, load
    from millisight.errors import MillisightError
    from millisight.predictions import Prediction

__version__ = version("millisight")

__all__ = ["Classifier", "MillisightError", "Prediction", "Result", "__version__", "load"]

_HOMES = {
    "Classifier": "classifier",
    "MillisightError": "errors",
    "Prediction": "predictions",
    "Result": "classifier",
    "load": "classifier",
}

# Type checkers would believe in every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """A public name, imported when it is asked for: a shell that completes a command does not
        wait for what classifies pictures."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted(__all__)
