"""A route of the API with all that its description says: what it does, for whom, what it takes, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from station.guard import RefusedRequest
from station.picture import Sentence

JSON = "application/json"
Q = TypeVar("Q", bound=msgspec.Struct)
Handler = Callable[[Request], Awaitable[Response]]


class Who(StrEnum):
    """Who may call a route; the handler checks it, the description tells it."""

    ANYBODY = "anybody"                 # also without a session
    NEWCOMERS = "newcomers"             # also before the one-time password was changed
    EVERYBODY = "everybody"             # every role
    DECIDERS = "deciders"               # station.access.WHO_DECIDES
    SUPERVISORS = "supervisors"         # supervisor and administrator
    READERS_OF_RECORD = "readers of the record"     # supervisor, auditor, administrator
    HELPERS = "helpers"                 # station.lanes.WHO_HELPS
    ADMINISTRATORS = "administrators"
    PILOTS = "pilots"                   # station.fleet_roles
    AUDITORS = "auditors"               # supervisor, auditor


@dataclass(frozen=True, slots=True)
class Described:
    """body, answer: what msgspec makes of their JSON. query: a struct, each field a parameter. media: of other answers."""

    does: str
    who: Who
    method: str
    body: Any = None
    answer: Any = None
    query: type[msgspec.Struct] | None = None
    media: str = JSON


class ApiRoute(Route):
    """One method of one path, with its description; station.openapi turns all of them into a document."""

    def __init__(
        self,
        path: str,
        endpoint: Handler,
        does: str,
        *,
        method: str = "GET",
        who: Who = Who.EVERYBODY,
        body: Any = None,
        answer: Any = None,
        query: type[msgspec.Struct] | None = None,
        media: str = JSON,
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.described = Described(does, who, method, body, answer, query, media)


def read_query(request: Request, kind: type[Q]) -> Q:
    """The parameters after the ? as a struct. Raises RefusedRequest 400 for what it does not know or allow."""
    given: dict[str, str] = dict(request.query_params)
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise RefusedRequest(400, Sentence("refused.query", {"error": str(error)})) from None
