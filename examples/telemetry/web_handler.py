"""An asynchronous web handler that looks devices up, and takes telemetry to be enriched; with Starlette.

    REDIS_URL=redis://localhost:6379/2 uvicorn web_handler:app

GET /devices/{id} tells what is known of a device. POST /telemetry answers JSON lines with the same lines enriched.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import devicesync


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """One enricher for the whole process."""
    async with devicesync.AsyncEnricher(os.environ["REDIS_URL"]) as enricher:
        app.state.enricher = enricher
        yield


async def device(request: Request) -> Response:
    """What is known of a device, and how old that is."""
    device_id = request.path_params["device_id"]
    found = (await request.app.state.enricher.lookup([device_id]))[device_id]
    if found is None:
        return JSONResponse({"device_id": device_id}, 404)
    return JSONResponse({"device_id": device_id, "devicedata": found.devicedata, "age_ms": found.age_ms})


async def telemetry(request: Request) -> Response:
    """Lines in, enriched lines out."""
    lines = (await request.body()).splitlines()
    try:
        enriched = await request.app.state.enricher.enrich_batch(lines)
    except devicesync.Unavailable as error:
        return JSONResponse({"error": str(error)}, 503)
    return Response(b"".join(line + b"\n" for line in enriched), media_type="application/x-ndjson")


app = Starlette(
    routes=[Route("/devices/{device_id}", device), Route("/telemetry", telemetry, methods=["POST"])],
    lifespan=lifespan,
)
