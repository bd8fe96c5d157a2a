"""Who takes part, and how each is started."""

from dataclasses import dataclass, field

from load import Mode


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that takes the bytes of a picture and answers with its three best classes."""

    name: str
    environment: str
    """Where its packages are: a file under ``environments/``, or "millisight"."""
    command: tuple[str, ...]
    """The first word is a program of the environment; ``{port}``, ``{cores}`` and ``{bundle}`` are
    filled in."""
    path: str = "/predict"
    mode: Mode = "unique"
    """How it takes a photograph: as the body, or in base64 in JSON."""
    shows: tuple[str, ...] = field(default_factory=tuple)
    """Packages whose versions stand in the report."""


MILLISIGHT = Contestant(
    "millisight",
    "millisight",
    ("millisight", "serve", "--model", "{bundle}", "--port", "{port}"),
    shows=("millisight", "openvino", "pillow", "uvicorn"),
)

PEERS = (
    Contestant(
        "article",
        "torch",
        ("gunicorn", "--worker-class", "gevent", "--workers", "{cores}", "--bind",
         "127.0.0.1:{port}", "article:app"),
        shows=("torch", "torchvision", "flask", "gunicorn", "gevent"),
    ),
    Contestant(
        "litserve", "litserve", ("python", "litserve_server.py", "{port}"),
        mode="json", shows=("litserve",),
    ),
    Contestant(
        "mosec",
        "mosec",
        ("python", "mosec_server.py", "--address", "127.0.0.1", "--port", "{port}"),
        path="/inference",
        shows=("mosec",),
    ),
    Contestant(
        "bentoml",
        "bentoml",
        ("bentoml", "serve", "bentoml_service:Classify", "--host", "127.0.0.1", "--port", "{port}"),
        shows=("bentoml",),
    ),
    Contestant("ray serve", "ray", ("python", "ray_serve.py", "{port}"), shows=("ray",)),
    Contestant(
        "torchserve", "torch", ("python", "torchserve_server.py", "{port}"),
        path="/predictions/resnet18", shows=("torchserve", "torch"),
    ),
)  # fmt: skip

CEILING = "ceiling"

ALL = {one.name: one for one in (MILLISIGHT, *PEERS)}
