"""What a session gets of a match: only its lane's roles get any of it, over real sockets, and the record says who did."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from starlette.routing import Route
from websockets.sync.client import connect

from station.access import Role, open_people
from station.duty import Duty, HandoverView, Sheet, SheetItem
from station.lanes import lanes_of, redact_duty, redact_sentence
from station.matching import Match
from station.picture import Picture, Sentence
from station.subjects import Lane
from station.web import Web
from tests.scene import alarm, scene
from tests.station.stored import fill_mind
from tests.station.test_web import a_stage, cookie_of, log_in, wait_for
from wire.clock import WallClock

ROLES = {role.value: role for role in Role}
SUBJECTS = {Lane.ENFORCEMENT: "TL-2026-901", Lane.WELFARE: "TL-2026-902"}
PLATES = {Lane.ENFORCEMENT: "99Z-901.01", Lane.WELFARE: "99Z-902.02"}
MATCHES = {Lane.ENFORCEMENT: "M-000901", Lane.WELFARE: "M-000902"}


def planted() -> Picture:
    """The scene with one question of each lane, with an alarm about each."""
    told = scene()
    matches, alarms = [], [a for a in told.alarms if a.rule != "watchlist_match"]
    for number, lane in enumerate(Lane):
        match = msgspec.structs.replace(
            told.matches[0], id=MATCHES[lane], subject=SUBJECTS[lane], lane=lane.value,
            evidence=(msgspec.structs.replace(told.matches[0].evidence[0], says=Sentence(
                "match.evidence.plate_similar", {"listed": PLATES[lane], "read": "x", "times": 9, "equivalents": 1})),),
        )
        matches.append(match)
        alarms.append(alarm(
            f"A-09{number}", told.at_ns, rule="watchlist_match", contact_view=told.contacts[4], match=match.id,
            says=Sentence("alarm.watchlist_match", {"match": match.id, "contact": "K-0415", "lane": lane.value}),
        ))
    return msgspec.structs.replace(told, matches=tuple(matches), alarms=tuple(alarms))


def stored_match(lane: Lane, number: int):
    view = next(m for m in planted().matches if m.lane == lane)
    return Match(number, "C-000001", view.subject, view.lane, 1, time.time_ns(), 15.0, "plate", view.evidence)


@pytest.fixture(scope="module")
def stage():
    with a_stage() as it:
        for name, role in ROLES.items():
            it.person(name, role)
        fill_mind(it.settings, matches=[stored_match(Lane.ENFORCEMENT, 901), stored_match(Lane.WELFARE, 902)])
        it.start()
        it.mind(planted())
        yield it


@contextlib.contextmanager
def client_of(stage, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.address, timeout=15) as client:
        log_in(client, name)
        wait_for(lambda: client.get("/api/picture").json()["alarms"])
        yield client


def check(text: str, role: Role, where: str) -> None:
    """Everything of the lanes that a role sees is there, and nothing of the others."""
    for lane in Lane:
        for word in (SUBJECTS[lane], PLATES[lane], MATCHES[lane], f'"lane":"{lane.value}"'):
            assert (word in text) is (lane in lanes_of(role)), (where, role, word)


def socket_of(stage, client: httpx.Client, path: str):
    return connect(
        stage.address.replace("http", "ws") + path, additional_headers={"Cookie": cookie_of(client)},
        origin=stage.address, open_timeout=15,
    )


@pytest.mark.parametrize("name", list(ROLES))
def test_a_session_gets_the_matches_of_its_lanes_and_no_word_of_others(stage, name) -> None:
    role = ROLES[name]
    with client_of(stage, name) as client:
        check(client.get("/api/picture").text, role, "picture")
        check(client.get("/api/history/matches").text, role, "history")
        with socket_of(stage, client, "/feed") as feed:
            check(str(feed.recv(10)), role, "first picture")
            told = planted()
            stage.minds[0].say(matches=told.matches, alarms=tuple(a for a in told.alarms if a.rule == "watchlist_match"))
            delta = next(m for m in (str(feed.recv(10)) for _ in range(100)) if '"type":"delta"' in m and '"A-090"' in m)
            check(delta, role, "delta")
        client.get("/api/picture")
    seen = [(MATCHES[lane], SUBJECTS[lane]) for lane in Lane if lane in lanes_of(role)]
    assert sorted(delivered(stage, name)) == sorted(seen), "once for this session and each match"


@pytest.mark.parametrize("name", list(ROLES))
def test_a_read_token_sees_what_its_account_does(stage, name) -> None:
    people = open_people(stage.settings)
    try:
        token = people.make_token(name, f"wall of {name}", 1.0)
    finally:
        people.close()
    before = len(delivered(stage, name))
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=stage.address, timeout=15, headers=headers) as client:
        wait_for(lambda: client.get("/api/picture").json()["alarms"])
        for _ in range(2):
            check(client.get("/api/picture").text, ROLES[name], "picture")
            check(client.get("/api/history/matches").text, ROLES[name], "history")
    assert len(delivered(stage, name)) - before == len(lanes_of(ROLES[name]))


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.PILOT, Role.TRAINER])
def test_no_get_route_tells_of_a_match_of_another_lane(stage, role) -> None:
    """The audit record is the auditor's own to read, with the ids in it: it is the one answer that may name a subject."""
    people = open_people(stage.settings)
    try:
        routes = [r for r in Web(stage.settings, people, WallClock()).routes if isinstance(r, Route) and "GET" in r.methods]
    finally:
        people.close()
    answered = 0
    with client_of(stage, role.value) as client:
        for route in routes:
            if "record" in route.path and role is Role.AUDITOR:
                continue
            name = MATCHES[Lane.WELFARE] if "match" in route.path else SUBJECTS[Lane.WELFARE]
            path = re.sub(r"\{[^}]*\}", name, route.path)
            answer = client.get(path)
            body = answer.text.replace(name, "") if "{" in route.path and answer.status_code >= 400 else answer.text
            answered += answer.status_code == 200
            for lane in set(Lane) - lanes_of(role):
                assert SUBJECTS[lane] not in body and PLATES[lane] not in body, path
    assert answered > 15, "most routes answered"


def test_a_hand_over_sheet_tells_of_a_question_of_another_lane_only_that_there_is_one() -> None:
    about = Sentence("alarm.watchlist_match", {"match": "M-1", "contact": "K-1", "lane": "welfare"})
    items = (SheetItem("A-1", 1, about),)
    sheet = Sheet(2, 1, "training", "laobao", items, items, items, (), (), (), (), (), 1, 0)
    duty = Duty((), (), (HandoverView("H-1", "lan", "an", 1, None, "", sheet),), sheet)
    assert redact_duty(lanes_of(Role.OPERATOR), duty) == duty
    for role in (Role.PILOT, Role.AUDITOR):
        told = msgspec.json.encode(redact_duty(lanes_of(role), duty)).decode()
        assert "welfare" not in told and "M-1" not in told and told.count("K-1") == 6


def test_an_alarm_that_joined_several_questions_of_another_lane_tells_as_little() -> None:
    about = Sentence("alarm.watchlist_candidates", {
        "match": "M-1", "contact": "K-1", "lane": "welfare", "contacts": 2, "candidates": "K-1, K-2"})
    assert redact_sentence(lanes_of(Role.OPERATOR), about) == about
    for role in (Role.PILOT, Role.TRAINER):
        assert redact_sentence(lanes_of(role), about) == Sentence("alarm.watchlist_elsewhere", {"contact": "K-1"})


def delivered(stage, name: str) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(stage.settings.record_db)) as record:
        rows = record.execute(
            "SELECT details FROM entries WHERE person = ? AND action = 'match.delivered'", (name,)
        ).fetchall()
    return [(d["match"], d["subject"]) for d in (json.loads(row[0]) for row in rows)]
