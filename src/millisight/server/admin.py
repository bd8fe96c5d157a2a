"""``POST /admin/reload``: serve what has been built meanwhile. Closed unless a token is set."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from millisight.bundle import open_bundle
from millisight.errors import Unauthorized
from millisight.server.door import digest_of, is_one_of, token_of
from millisight.server.service import Service

router = APIRouter(include_in_schema=False)


class Reloaded(BaseModel):
    """The model that is served now, or with several workers, will be in a moment."""

    model: str
    digest: str
    done: bool


@router.post("/admin/reload")
async def reload(request: Request, response: Response) -> Reloaded:
    """Read the bundle again. One that cannot be used is refused, and the old one goes on."""
    service: Service = request.app.state.service
    token = service.settings.admin_token.get_secret_value()
    if not token:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if not is_one_of(token_of(request), [digest_of(token)]):
        raise Unauthorized(
            "This needs the administrator's token.",
            hint="Send it as: Authorization: Bearer TOKEN",
        )
    if (ask := request.app.state.reload) is None:
        bundle = await service.reload()
    else:
        bundle = await asyncio.to_thread(open_bundle, service.settings.model, service.settings.home)
        ask()
        response.status_code = HTTPStatus.ACCEPTED
    manifest = bundle.manifest
    return Reloaded(model=manifest.name, digest=manifest.digest(), done=ask is None)
