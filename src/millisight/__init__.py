"""millisight: image classification in milliseconds on a plain CPU, with nothing sent anywhere."""

from importlib.metadata import version

from millisight.classifier import Classifier, Result, load
from millisight.errors import MillisightError
from millisight.predictions import Prediction

__version__ = version("millisight")

__all__ = ["Classifier", "MillisightError", "Prediction", "Result", "__version__", "load"]
