"""``POST /admin/reload``: serve what has been built meanwhile. Closed unless a token is set."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from millisight.bundle import open_bundles
from millisight.errors import MillisightError, Unauthorized
from millisight.server.door import digest_of, is_one_of, token_of
from millisight.server.problems import in_full
from millisight.server.service import Service

router = APIRouter(include_in_schema=False)


class Reloaded(BaseModel):
    """What is served now, or with several workers, will be in a moment: the default and the digest
    of each by its name."""

    model: str
    digest: str
    digests: dict[str, str]
    done: bool


@router.post("/admin/reload", response_model=Reloaded)
async def reload(request: Request, response: Response) -> Reloaded | JSONResponse:
    """Read the bundles again. If one of them cannot be used, all the old ones go on."""
    service: Service = request.app.state.service
    token = service.settings.admin_token.get_secret_value()
    if not token:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if not is_one_of(token_of(request.headers), [digest_of(token)]):
        raise Unauthorized(
            "This needs the administrator's token.",
            hint="Send it as: Authorization: Bearer TOKEN",
        )
    ask = request.app.state.reload
    try:
        if ask is None:
            bundles = await service.reload()
        else:
            settings = service.settings
            bundles = await asyncio.to_thread(open_bundles, settings.model, settings.home)
    except MillisightError as error:
        # Who holds the token is to mend it.
        return in_full(request, error)
    if ask is not None:
        ask()
        response.status_code = HTTPStatus.ACCEPTED
    digests = {name: bundle.manifest.digest() for name, bundle in bundles.items()}
    default, bundle = next(iter(bundles.items()))
    return Reloaded(
        model=bundle.manifest.name, digest=digests[default], digests=digests, done=ask is None
    )
