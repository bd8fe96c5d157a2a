"""``POST /admin/reload``: serve what has been built meanwhile. Closed unless a token is set."""

import asyncio
import hashlib
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from millisight.errors import Unauthorized
from millisight.server.door import is_one_of, token_of
from millisight.server.problems import Problem
from millisight.server.service import Service, newest_bundle

router = APIRouter(include_in_schema=False)


class Reloaded(BaseModel):
    """The model that is served now, or with several workers, will be in a moment."""

    model: str
    digest: str
    done: bool


@router.post("/admin/reload", responses={401: {"model": Problem}, 404: {"model": Problem}})
async def reload(request: Request, response: Response) -> Reloaded:
    """Read the bundle again. One that cannot be used is refused, and the old one goes on."""
    service: Service = request.app.state.service
    token = service.settings.admin_token.get_secret_value()
    if not token:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if not is_one_of(token_of(request), [hashlib.sha256(token.encode()).digest()]):
        raise Unauthorized(
            "This needs the administrator's token.",
            hint="Send it as: Authorization: Bearer TOKEN",
        )
    if (ask := request.app.state.reload) is None:
        bundle = await service.reload()
    else:
        bundle = await asyncio.to_thread(newest_bundle, service.settings)
        ask()
        response.status_code = HTTPStatus.ACCEPTED
    manifest = bundle.manifest
    return Reloaded(model=manifest.name, digest=manifest.digest(), done=ask is None)
