"""Online: millisight as an application of Ray Serve.

``serve run millisight.scale.ray_serve:app model=s3://models/resnet18 cores=4`` or the same in a
Serve config file. Each replica is the whole of ``millisight serve``, one process with its own
cores; Ray deals requests out to replicas, and makes more or fewer of them.
"""

import logging
import math
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator
from ray import serve

from millisight.errors import NotReady, SettingsError
from millisight.scale.bundles import open_pinned, pin
from millisight.scale.exported import Exported
from millisight.server import create_app
from millisight.server.process import prepare_process
from millisight.server.service import Service
from millisight.settings import Settings, load_settings

NAME = "millisight"
"""Of the deployment: what a config file's ``deployments`` says of it goes by this name."""

_RAYS_OWN = {"host", "port", "grpc_port", "workers", "threads", "admin_token", "weights_mirror"}
"""Settings that say how one server listens, and how its models are exchanged: Ray does that."""

_SPARE_SECONDS = 15


class Arguments(BaseModel):
    """What ``serve run`` and the ``args`` of a config file may say. All of the settings of a
    server may stand here too, such as ``model``, ``max_queue`` or ``cache_mb``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    cores: int = Field(1, ge=1, le=1024)
    """Of each replica: what Ray reserves for it, and how many pictures it works on at a time."""
    min_replicas: int = Field(1, ge=0)
    max_replicas: int = Field(8, ge=1)
    pictures_per_core: float = Field(2.0, gt=0)
    """Pictures in work or waiting for each core that the number of replicas is to lead to."""

    @model_validator(mode="after")
    def _is_in_order(self) -> "Arguments":
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is less than min_replicas")
        return self


class Replica:
    """One process with all models. Ray wraps it with the app that answers."""

    app: FastAPI

    def __init__(self) -> None:
        """Nothing is loaded here: the app does it when it is started."""
        self._exported = Exported()

    def check_health(self) -> None:
        """Raises ``NotReady`` where only a restart helps; Ray asks every few seconds."""
        service: Service = self.app.state.service
        self._exported.take(service.observer.metrics.totals())
        if not service.alive:
            raise NotReady("A thread that feeds the network has died.", hint="Restart the replica.")


def app(arguments: Arguments) -> Any:
    """The application, for ``serve run``, for a config file's ``import_path``, and for
    ``serve.run``.

    The models are pinned here: whichever replicas start later, and wherever, have the same.
    Raises ``SettingsError`` and what ``pin`` does.
    """
    flags = dict(arguments.model_extra or {})
    settings = _settings(flags, arguments.cores)
    flags["model"] = pin(settings.model, settings.home)

    def build() -> FastAPI:
        return _build(flags)

    deployment = serve.deployment(
        name=NAME,
        ray_actor_options={"num_cpus": arguments.cores},
        autoscaling_config={
            "min_replicas": arguments.min_replicas,
            "max_replicas": arguments.max_replicas,
            "target_ongoing_requests": arguments.pictures_per_core * arguments.cores,
        },
        # The replica's own queue is to decide who is refused, with 429 and not with 503.
        max_ongoing_requests=2 * settings.max_queue,
        max_queued_requests=settings.max_queue,
        graceful_shutdown_timeout_s=settings.deadline_ms / 1e3 + _SPARE_SECONDS,
    )
    return deployment(serve.ingress(build)(Replica)).bind()


def _settings(flags: dict[str, Any], cores: int) -> Settings:
    """The settings of a replica with so many ``cores``. Raises ``SettingsError``."""
    for name in _RAYS_OWN & flags.keys():
        raise SettingsError(
            f"On Ray there is no setting {name}.",
            hint="Where it listens stands in Serve's http_options, the cores of a replica in "
            "cores; models are exchanged by deploying again.",
        )
    # The environment may have them for a server that runs beside Ray.
    none = {"grpc_port": 0, "workers": 1, "threads": cores, "admin_token": ""}
    return load_settings({**flags, **none})


def _build(flags: dict[str, Any]) -> FastAPI:
    """The app of this replica, on the cores that Ray has given to it."""
    cores = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
    settings = _settings(flags, max(1, math.ceil(cores)))
    prepare_process()
    logging.getLogger("millisight").setLevel(settings.log_level.upper())
    bundles = open_pinned(settings.model, settings.home)
    # Ray takes a replica for ready when its app has started, and SIGHUP is not for it.
    return create_app(bundles, settings, background=False, reload=lambda: None)
