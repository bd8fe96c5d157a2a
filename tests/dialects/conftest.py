"""One server with two models, and pictures with what it says of them itself."""

import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.e2e.conftest import Server, running
from tests.models import build
from tests.support import encode, reference, texture

MAX_UPLOAD_MB = "2"
IMAGES = [texture(400, 300, seed) for seed in range(3)]
PICTURES = [encode(image, "PNG") for image in IMAGES]
PREPARED = np.stack([reference(image) for image in IMAGES])
"""The same as the network takes them: uint8, ``(3, 224, 224, 3)``."""


def firsts(expected: list[list[dict[str, Any]]]) -> list[int]:
    """The index of the best class of each picture."""
    return [predictions[0]["index"] for predictions in expected]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def grpc_url() -> str:
    """Where ``server`` answers over gRPC."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, grpc_url: str) -> Iterator[Server]:
    home: Path = tmp_path_factory.mktemp("home")
    build(home, "steel", "steel")
    models = ("--model", "starter", "--model", "steel")
    port = ("--grpc-port", grpc_url.split(":")[1])
    # 64 pictures in one request take long where other tests run beside this one.
    limits = ("--max-upload-mb", MAX_UPLOAD_MB, "--deadline-ms", "20000")
    with running(home, *models, *port, *limits) as one:
        yield one


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def expected(server: Server) -> list[list[dict[str, Any]]]:
    """The three best of each of ``PICTURES``, by the server's own way of asking."""
    return [
        httpx.post(f"{server.url}/predict", content=one, timeout=30).json()["predictions"]
        for one in PICTURES
    ]


def encoded(pictures: list[bytes]) -> NDArray[np.object_]:
    """What clients of the protocol call BYTES."""
    return np.array(pictures, dtype=np.object_)


@cache
def pixels(seed: int) -> NDArray[np.uint8]:
    """A whole picture as pixels, shape ``(300, 400, 3)``."""
    image: Image.Image = texture(400, 300, seed)
    return np.asarray(image)
