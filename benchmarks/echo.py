"""The two endpoints that the API is measured against, on the same server as the API: `bare` and `fastapi`.

bare: Starlette; decodes the body with msgspec and echoes it. fastapi: FastAPI; validates it with pydantic and echoes it.

    python benchmarks/echo.py bare|fastapi PORT
"""

import sys
import time
from typing import Any

import msgspec
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devicesync.api.connections import Door
from devicesync.api.serve import listen, serving

PATH = "/v1/device/register/{device_id}"


class Declared(BaseModel):
    """As registration.DeclaredLocation."""

    state: str | None = None
    district: str | None = None


class Registration(BaseModel):
    """As registration.Registration."""

    channel: str | None = None
    producer: str | None = None
    fcmToken: str | None = None  # noqa: N815 - the wire's name
    first_access: int | None = None
    ip_addr: str | None = None
    dspec: dict[str, str | int | None] | None = None
    userDeclaredLocation: Declared | None = None  # noqa: N815 - the wire's name


class Body(BaseModel):
    """As registration.Body."""

    request: Registration


def bare() -> Starlette:
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode

    async def echo(request: Request) -> Response:
        return Response(encode(decode(await request.body())), media_type="application/json")

    return Starlette(routes=[Route(PATH, echo, methods=["POST"])])


def fastapi() -> FastAPI:
    app = FastAPI()

    @app.post(PATH)
    async def echo(device_id: str, body: Body) -> Body:
        del device_id
        return body

    return app


if __name__ == "__main__":
    apps: dict[str, Any] = {"bare": bare, "fastapi": fastapi}
    with serving(lambda: [(Door(apps[sys.argv[1]]()), listen("listen", f"127.0.0.1:{sys.argv[2]}"))], lambda: None):
        time.sleep(3600)
