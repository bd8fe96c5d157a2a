"""One of the models that are served, under its name."""

import millisight
from millisight.bundle import Bundle
from millisight.cache import result_key
from millisight.classifier import Classifier
from millisight.errors import NotReady


class Served:
    """A bundle and, once it is loaded, the classifier that answers with it. Does not change."""

    def __init__(self, name: str, bundle: Bundle, classifier: Classifier | None = None) -> None:
        self.name = name
        """What ``?model=`` asks for."""
        self.bundle = bundle
        self.classifier = classifier
        self.digest = bundle.manifest.digest()

    @property
    def alive(self) -> bool:
        """False once a thread that feeds the network has died: only a restart helps then."""
        return self.classifier is None or self.classifier.alive

    @property
    def answers(self) -> bool:
        """Whether it is warmed up and takes pictures."""
        return self.classifier is not None and self.classifier.alive

    @property
    def waiting(self) -> int:
        """How many pictures wait for their turn."""
        return 0 if self.classifier is None else self.classifier.waiting

    def ready(self) -> Classifier:
        """The classifier, warmed up. Raises ``NotReady`` before that and after its end."""
        if self.classifier is None or not self.answers:
            raise NotReady("The model is not ready.", hint="Try again in a moment.")
        return self.classifier

    def key(self, picture: bytes, *parameters: object) -> str:
        """Names the answer to a request: the same key, the same answer."""
        return result_key(picture, *parameters, millisight.__version__, self.digest)
