"""The description of the API, made of the routes themselves and of the types that they take and give: OpenAPI 3.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from station.guard import Problem
from station.web_api import JSON, ApiRoute, Who
from station.web_door import Door

VERSION = "1"
_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_REF = "#/components/schemas/{name}"
_WHO = {
    Who.ANYBODY: "Anybody, also without a session.",
    Who.NEWCOMERS: "Every role, also before the one-time password was changed.",
    Who.EVERYBODY: "Every role.",
    Who.DECIDERS: "Every role but auditor.",
    Who.SUPERVISORS: "Supervisors and administrators.",
    Who.READERS_OF_RECORD: "Supervisors, auditors and administrators.",
    Who.HELPERS: "Operators and supervisors.",
    Who.ADMINISTRATORS: "Administrators.",
    Who.PILOTS: (
        "Pilots and supervisors; operators for what is about looking at a contact; in a training station trainers and "
        "administrators."
    ),
    Who.AUDITORS: "Supervisors and auditors.",
}


def describe(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The whole document. Routes that are no ApiRoute (pages, files, WebSockets) are not in it."""
    ours = [r for r in routes if isinstance(r, ApiRoute)]
    types = _types(ours)
    schemas, components = msgspec.json.schema_components([t for _, t in types], ref_template=_REF)
    of = {key: schema for (key, _), schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in ours:
        path = _PARAMETER.sub(r"{\1}", route.path)
        operation = _operation(route, of, components)
        paths.setdefault(path, {})[route.described.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trailwatch ground station",
            "version": VERSION,
            "description": (
                "Times are UTC nanoseconds, positions WGS 84 degrees. Lists come in pages: give `next` as `after`. What "
                "changes something needs the session's cookie and its `csrf` (from /api/me) as X-CSRF-Token; a machine's "
                "token (`Authorization: Bearer`) reads only. A refusal says why in a sentence of the language files."
            ),
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "security": [{"session": []}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "trailwatch-REALM-PORT"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _types(routes: Sequence[ApiRoute]) -> list[tuple[str, Any]]:
    """Every type that a schema is needed of, by a name of its own."""
    found: list[tuple[str, Any]] = [("problem", Problem)]
    for r in routes:
        d = r.described
        for part, kind in (("body", d.body), ("query", d.query), ("answer", d.answer)):
            if kind is not None:
                found.append((f"{part} {d.method} {r.path}", kind))
    return found


def _operation(route: ApiRoute, schemas: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    d = route.described
    key = f"{d.method} {route.path}"
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if kind == "int" else "string"}}
        for name, kind in _PARAMETER.findall(route.path)
    ]
    if d.query is not None:
        schema = schemas[f"query {key}"]
        schema = components[schema["$ref"].rpartition("/")[2]]
        for name, of_field in schema["properties"].items():
            parameters.append({
                "name": name, "in": "query", "required": name in schema.get("required", ()), "schema": of_field,
                "description": schema.get("description", ""),
            })
    if d.media == JSON:
        content = {JSON: {"schema": schemas[f"answer {key}"] if d.answer is not None else {"type": "null"}}}
    else:
        content = {d.media: {"schema": {"type": "string", "format": "binary"}}}
    operation: dict[str, Any] = {
        "summary": d.does,
        "description": _WHO[d.who],
        "x-who": d.who.value,
        "operationId": re.sub(r"\W+", "_", f"{d.method.lower()}{route.path}").strip("_"),
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {"description": "Refused, and why.", "content": {JSON: {"schema": schemas["problem"]}}},
        },
    }
    if d.who is Who.ANYBODY:
        operation["security"] = []
    if d.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schemas[f"body {key}"]}}}
    return operation


class OpenApiRoutes:
    """Serves the description of the routes that it is given, and of its own."""

    def __init__(self, door: Door, routes: Sequence[BaseRoute]) -> None:
        self._door = door
        self._own = ApiRoute("/api/openapi.json", self.document, "This description.", answer=dict[str, Any])
        self._document = msgspec.json.encode(describe([*routes, self._own]))

    def routes(self) -> list[BaseRoute]:
        return [self._own]

    async def document(self, request: Request) -> Response:
        await self._door.known(request)
        return Response(self._document, media_type=JSON)
