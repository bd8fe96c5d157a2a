"""How uvicorn serves here."""

import math
import resource
from functools import partial
from typing import Any

from millisight.server.protocol import PatientProtocol
from millisight.settings import Settings

MAX_CONNECTIONS = 1000
"""Of one process; fewer where it may not have so many files open."""

MAX_GRPC_CONNECTIONS = 200
"""The same over gRPC, where one carries many requests at a time."""

_OTHER_FILES = 100
"""What a process has open besides connections, with some to spare."""

_STOPPING_SECONDS = 2
"""How much longer than the deadline of the last request a server takes to stop."""


def uvicorn_options(settings: Settings) -> dict[str, Any]:
    """For ``uvicorn.Config``, with one process or several."""
    patience = settings.deadline_ms / 1e3
    return {
        "http": partial(PatientProtocol, patience=patience, most=http_connections(settings)),
        # Without these, whoever asks for another protocol puts two warnings into the log.
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        # Nothing here asks for the client's address, so nobody's headers are to be believed.
        "proxy_headers": False,
        "timeout_graceful_shutdown": math.ceil(patience) + _STOPPING_SECONDS,
    }


def http_connections(settings: Settings) -> int:
    """How many connections a process takes over HTTP: what gRPC can have is not for it."""
    of_grpc = grpc_connections() if settings.grpc_port else 0
    return max(1, min(MAX_CONNECTIONS, _files() - of_grpc))


def grpc_connections() -> int:
    """How many connections a process takes over gRPC."""
    return max(1, min(MAX_GRPC_CONNECTIONS, _files() // 4))


def _files() -> int:
    """How many files a process may have open for connections."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MAX_CONNECTIONS + MAX_GRPC_CONNECTIONS
        if files == resource.RLIM_INFINITY
        else files - _OTHER_FILES
    )
