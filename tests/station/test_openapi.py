"""The API's description: every route stands in it, and what the routes answer is what it says."""

from __future__ import annotations

import json
import re
import time

import httpx
import jsonschema
import pytest
from starlette.routing import Route

from station.access import Role, open_people
from station.openapi import describe
from station.settings import load_station_settings
from station.web import Web
from station.web_api import ApiRoute
from tests.scene import scene
from tests.station.conftest import frame_of, point_detection
from tests.station.stored import NOW_NS, a_contact, an_alarm, fill_inbox, fill_mind
from tests.web_stage import PASSWORD, Stage
from wire.clock import WallClock
from wire.units import GroundPosition

WAY = [(16.62115, 106.59110), (16.62090, 106.59260)]


@pytest.fixture
def stage(station_folder):
    it = Stage(station_folder)
    yield it
    it.close()


@pytest.fixture
def routes(stage):
    people = open_people(stage.settings)
    yield Web(load_station_settings(stage.settings.file), people, WallClock()).routes
    people.close()


def test_every_route_of_the_api_is_described(routes) -> None:
    bare = [r.path for r in routes if isinstance(r, Route) and r.path.startswith("/api/") and not isinstance(r, ApiRoute)]
    assert bare == [], "make these ApiRoutes: without their types nobody knows what they take and give"
    document = describe(routes)
    told = {(path, method) for path, ways in document["paths"].items() for method in ways}
    wanted = {
        (re.sub(r":\w+\}", "}", r.path), r.described.method.lower()) for r in routes if isinstance(r, ApiRoute)
    }
    assert told == wanted and ("/api/history/contacts", "get") in told


def test_the_description_is_openapi_3_1_and_all_it_refers_to_is_there(routes) -> None:
    document = describe(routes)
    assert document["openapi"].startswith("3.1")
    ids = [way["operationId"] for ways in document["paths"].values() for way in ways.values()]
    assert len(ids) == len(set(ids))
    refs = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)))
    assert refs <= set(document["components"]["schemas"])
    for name, schema in document["components"]["schemas"].items():
        assert "/" not in name
        jsonschema.Draft202012Validator.check_schema(schema)
    for path, ways in document["paths"].items():
        for way in ways.values():
            in_path = {p["name"] for p in way["parameters"] if p["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
            assert way["summary"] and way["description"] and "default" in way["responses"]


def validator(document, schema) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def test_what_the_routes_answer_is_what_the_description_says(stage) -> None:
    walker = a_contact(1, WAY, tracks=["cam-1/1/gate/4"])
    fill_mind(stage.settings, [walker], [an_alarm(1, walker)])
    fill_inbox(stage.settings, (NOW_NS, frame_of("gate", NOW_NS, point_detection(GroundPosition(*WAY[0]), track=4))))
    stage.mind(scene())
    stage.person("chi", Role.SUPERVISOR)
    stage.start()
    with httpx.Client(base_url=stage.address, timeout=15) as client:
        assert client.post("/api/login", json={"name": "chi", "password": PASSWORD}).status_code == 200
        time.sleep(1.5)                     # the feed has asked the mind for its picture
        document = client.get("/api/openapi.json").json()
        asked = []
        for path, ways in document["paths"].items():
            if "get" not in ways or (
                "{" in path and path not in ("/api/history/contacts/{id}", "/api/matches/{id}")
            ):
                continue
            answer = client.get(path.replace("{id}", "C-000001"))
            content = ways["get"]["responses"]["200"]["content"]
            media = answer.headers["content-type"].partition(";")[0]
            if answer.status_code != 200:
                content = ways["get"]["responses"]["default"]["content"]
            assert media in content, (path, answer.status_code, media)
            if media == "application/json":
                validator(document, content[media]["schema"]).validate(answer.json())
            asked.append(path)
    assert {"/api/picture", "/api/figures", "/api/me", "/api/history/contacts", "/api/history/contacts/{id}", "/api/replay",
            "/api/history/detections", "/api/retention", "/api/export/contacts.gpx", "/api/openapi.json"} <= set(asked)


def test_a_lie_in_an_answer_is_noticed(routes) -> None:
    document = describe(routes)
    schema = document["paths"]["/api/retention"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    validator(document, schema).validate([{"kind": "x", "days": None, "oldest_ns": None, "erased": 0, "last_ns": None}])
    with pytest.raises(jsonschema.ValidationError):
        validator(document, schema).validate([{"kind": "x", "days": "7", "oldest_ns": None, "erased": 0, "last_ns": None}])
