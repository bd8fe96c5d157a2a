"""What other servers' clients speak, answered by the same models.

Their protocols are documented where they come from, so the routes are not in this server's own
OpenAPI document.
"""

from starlette.routing import Route

from millisight.server.dialects import openinference, tfserving, torchserve

routes: list[Route] = [*openinference.routes, *torchserve.routes, *tfserving.routes]
"""All of them."""
