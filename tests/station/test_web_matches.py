"""The welfare lane has other access: who may need help is told to those who can help."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import httpx
import msgspec
import pytest

from station.access import Role
from station.picture import DecideMatch, MatchState
from station.subjects import Category
from station.watchlist import Draft, add_subject
from tests.scene import scene
from tests.station.test_web import a_stage, log_in, wait_for

ROLES = {"op": Role.OPERATOR, "chief": Role.SUPERVISOR, "pilot": Role.PILOT, "trainer": Role.TRAINER, "kiem": Role.AUDITOR}
WELFARE, ENFORCEMENT = "M-31", "M-32"


@pytest.fixture(scope="module")
def stage():
    with a_stage() as it:
        for name, role in ROLES.items():
            it.person(name, role)
        picture = scene()
        matches = []
        for name, lane, category in (
            (WELFARE, "welfare", Category.AT_RISK), (ENFORCEMENT, "enforcement", Category.COURIER),
        ):
            draft = Draft(category, "label", "reason", "order 12", "speak to her alone", time.time_ns() + 10**15)
            subject = add_subject(it.settings, "lan", draft)
            matches.append(msgspec.structs.replace(picture.matches[0], id=name, subject=subject.id, lane=lane))
        it.start()
        it.mind(msgspec.structs.replace(picture, matches=tuple(matches)))
        yield it


@pytest.mark.parametrize("name", list(ROLES))
def test_a_welfare_record_opens_and_is_answered_only_by_who_can_help(stage, name) -> None:
    helps, decides = name in ("op", "chief"), name != "kiem"
    with httpx.Client(base_url=stage.address, timeout=15) as client:
        log_in(client, name)
        wait_for(lambda: len(client.get("/api/picture").json()["matches"]) == helps + decides)
        before = looks(stage, name)
        opened = client.get(f"/api/matches/{WELFARE}")
        assert opened.status_code == (200 if helps else 403)
        assert ("speak to her alone" in opened.text) is helps
        assert client.get(f"/api/matches/{ENFORCEMENT}").status_code == (200 if decides else 403)
        assert looks(stage, name) - before == helps + decides, "every look that was one is in the record"
        asked = len(stage.minds[0].asked)
        answer = client.post(f"/api/matches/{WELFARE}", json={"to": "rejected", "reason": "spoke with her"})
        if helps:
            assert answer.status_code in (200, 409)
            assert stage.minds[0].asked[-1] == DecideMatch(WELFARE, MatchState.REJECTED, name, "spoke with her")
        else:
            assert answer.status_code == 403 and len(stage.minds[0].asked) == asked


def looks(stage, name: str) -> int:
    with contextlib.closing(sqlite3.connect(stage.settings.record_db)) as record:
        found = record.execute("SELECT count(*) FROM entries WHERE person = ? AND action = 'watchlist.looked'", (name,))
        return int(found.fetchone()[0])
