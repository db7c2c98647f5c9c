"""OpenAPI 3.1 of the API, and AsyncAPI 3.0 of the log. Tests compare the running handlers with the first one."""

from typing import Any

import msgspec

from devicesync.api.registration import Body
from devicesync.law.event import MAX_BYTES
from devicesync.law.facets import FIELDS, MAP_FIELDS
from devicesync.law.refusal import REASONS

_ID = {
    "name": "device_id",
    "in": "path",
    "required": True,
    "description": "1 to 256 bytes of UTF-8 without control characters, percent-encoded",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$"},
}
_MIN_VERSION = {
    "in": "query",
    "name": "min_version",
    "description": "answer only with a profile at least this new: result.version of a registration. Also as X-Min-Version",
    "schema": {"type": "integer", "minimum": 0, "maximum": 2**53 - 1},
}
_NULLABLE_TEXT = {"type": ["string", "null"]}


def openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    (body,), components = msgspec.json.schema_components([Body], ref_template="#/components/schemas/{name}")
    components |= {"Envelope": _envelope(), "Profile": _profile()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Device Register API",
            "version": "1",
            "description": "Registrations into one log; profiles out of it.",
        },
        "paths": {
            "/v1/device/register/{device_id}": {
                "post": {
                    "summary": "Register a device",
                    "description": "Answers when the registration is durable. result.version reads it back.",
                    "parameters": [_ID],
                    "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                    "responses": _responses(200, 400, 401, 403, 404, 408, 413, 415, 429, 503),
                    "security": [{}, {"key": []}, {"token": []}],
                }
            },
            "/v1/device/profile/{device_id}": {
                "get": {
                    "summary": "Read a device's profile",
                    "parameters": [_ID, _MIN_VERSION],
                    "responses": _responses(200, 400, 401, 403, 404, 429, 503, 504),
                    "security": [{}, {"key": []}, {"token": []}],
                },
                "delete": {
                    "summary": "Erase a device",
                    "description": "For administrators. Older registrations never bring it back.",
                    "parameters": [_ID],
                    "responses": _responses(200, 400, 401, 403, 404, 409, 429, 503),
                    "security": [{"key": []}, {"token": []}],
                },
            },
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document: what lies in the topic and in device-profile.log."""
    text = {"oneOf": [{"type": ["string", "null"]}, {"type": "integer"}]}
    properties: dict[str, Any] = {field: {"type": "object"} if field in MAP_FIELDS else text for field in FIELDS}
    properties |= {
        "device_id": {"type": "string", "minLength": 1, "description": "at most 256 bytes"},
        "version": {"type": "integer", "description": "µs since 1970"},
        "erase": {"type": "boolean"},
        "api_last_updated_on": {"type": "integer", "description": "ms since 1970"},
        "first_access": {"type": "integer", "description": "ms since 1970"},
    }
    event = {"type": "object", "required": ["device_id"], "properties": properties}
    dead = {"type": "object", "properties": {"reason": {"enum": list(REASONS)}, "detail": {"type": "string"}}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Device profiles",
            "version": "1",
            "description": f"One JSON object a record, {MAX_BYTES} bytes at most.",
        },
        "channels": {
            "deviceprofile": {
                "address": "{env}.events.deviceprofile",
                "parameters": {"env": {}},
                "messages": {"event": {"contentType": "application/json", "payload": event}},
            },
            "failed": {
                "address": "{env}.events.deviceprofile.failed",
                "parameters": {"env": {}},
                "messages": {"refused": {"description": "the refused record's key and value", "headers": dead}},
            },
        },
        "operations": {"register": {"action": "receive", "channel": {"$ref": "#/channels/deviceprofile"}}},
    }


def _responses(*statuses: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}}
    meanings = {
        200: "done", 400: "the request is wrong", 401: "no valid key or token", 403: "not with this key or token",
        404: "no such path",
        408: "the body came too slowly", 409: "the profile lies too far ahead", 413: "too large", 415: "not JSON in UTF-8",
        429: "too many requests", 503: "the log or a store is down: try again", 504: "no profile that new yet",
    }  # fmt: skip
    return {str(status): {"description": meanings[status], "content": content} for status in statuses}


def _envelope() -> dict[str, Any]:
    params = {
        "resmsgid": {"type": "string"},
        "status": {"enum": ["successful", "failed"]},
        "client_key": {"type": "null"},
        "err": _NULLABLE_TEXT,
        "errmsg": _NULLABLE_TEXT,
    }
    properties = {
        "id": {"enum": ["analytics.device-register", "analytics.device-profile"]},
        "ver": {"type": "string"},
        "ts": {"type": "string"},
        "params": {"type": "object", "required": list(params), "properties": params},
        "responseCode": {"enum": ["OK", "CLIENT_ERROR", "SERVER_ERROR"]},
        "result": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "actions": {"type": "array"},
                "version": {"type": ["integer", "null"]},
                "userDeclaredLocation": {"type": "object"},
                "ipLocation": {"type": "object"},
                "profile": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Profile"}]},
            },
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _profile() -> dict[str, Any]:
    times = ("api_last_updated_on", "first_access", "user_declared_on")
    texts: dict[str, Any] = {field: {"type": "object" if field in MAP_FIELDS else "string"} for field in FIELDS}
    return {"type": "object", "properties": texts | {name: {"type": "integer"} for name in times}}
