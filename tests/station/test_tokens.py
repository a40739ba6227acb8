"""What a machine may with its token: read what its account may, at a pace, until it ends; and change nothing."""

from __future__ import annotations

import argparse
import asyncio
import sqlite3

import httpx
import pytest

from station.access import TOKEN_PREFIX, Role, open_people
from station.guard import RefusedRequest
from station.store_command import run_token
from station.web import Web
from station.web_rate import BURST, PER_S, RateLimit
from tests.scene import scene
from tests.station.stored import a_contact, fill_mind
from tests.web_stage import Stage
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.settings import SettingsError


@pytest.fixture
def stage(station_folder):
    it = Stage(station_folder)
    it.person("lan", Role.OPERATOR)
    it.person("chi", Role.SUPERVISOR)
    yield it
    it.close()


def words(action: str, name: str = "", label: str = "", days: float = 30.0) -> argparse.Namespace:
    return argparse.Namespace(token=action, name=name, label=label, days=days)


def a_token(stage, name: str, label: str = "wall", days: float = 30.0, clock=None) -> str:
    return run_token(stage.settings, "root (command line)", words("new", name, label, days), clock).partition("\n")[0]


def test_a_token_reads_what_its_account_may_and_changes_nothing(stage) -> None:
    fill_mind(stage.settings, [a_contact(n, [(16.62, 106.59)]) for n in (1, 2, 3)])
    stage.mind(scene())
    lan, chi = a_token(stage, "lan"), a_token(stage, "chi")
    assert lan.startswith(TOKEN_PREFIX)
    stage.start()
    with httpx.Client(base_url=stage.address, timeout=60) as client:
        of_lan, of_chi = ({"Authorization": f"Bearer {t}"} for t in (lan, chi))
        me = client.get("/api/me", headers=of_lan).json()
        assert (me["name"], me["role"], me["csrf"]) == ("lan", "operator", "")
        first = client.get("/api/history/contacts?limit=2", headers=of_lan).json()
        rest = client.get(f"/api/history/contacts?limit=2&after={first['next']}", headers=of_lan).json()
        ids = [c["id"] for c in first["rows"] + rest["rows"]]
        assert len(first["rows"]) == 2 and sorted(ids) == ["C-000001", "C-000002", "C-000003"] and rest["next"] is None
        assert client.get("/api/export/contacts.csv", headers=of_lan).status_code == 403
        assert client.get("/api/export/contacts.csv", headers=of_chi).status_code == 200
        for path, body in (
            ("/api/alarms/A-1", {"to": "acknowledged", "reason": ""}), ("/api/logout", {}),
            ("/api/password", {"old": "x", "new": "mot cau dai hon nua"}),
            ("/api/orders", {"sensor": "x", "action": "snapshot"}),
        ):
            answer = client.post(path, json=body, headers={**of_chi, "X-CSRF-Token": ""})
            assert answer.status_code in (401, 403), path
            if answer.status_code == 403:
                assert answer.json()["says"]["key"] == "refused.token_reads", path
        assert client.get("/api/picture", headers={"Authorization": f"Bearer {lan}x"}).status_code == 401
        assert client.get("/api/picture", headers={"Authorization": f"Basic {lan}"}).status_code == 401
        run_token(stage.settings, "root (command line)", words("revoke", "lan", "wall"))
        assert client.get("/api/picture", headers=of_lan).status_code == 401
    entries = sqlite3.connect(stage.settings.record_db).execute("SELECT action, details FROM entries").fetchall()
    assert [a for a, _ in entries][:2] == ["token.made", "token.made"] and "token.revoked" in [a for a, _ in entries]
    assert all(lan not in d and chi not in d for _, d in entries)
    others = [a for a, _ in entries if not a.startswith("token.")]
    assert set(others) == {"history.searched", "export.made"}, others


def test_a_token_ends_by_itself_and_with_its_accounts_password(stage) -> None:
    clock = SteppedClock()
    token = a_token(stage, "lan", days=2.0, clock=clock)
    people = open_people(stage.settings, clock)
    assert people.token_session(token) is not None
    content = stage.settings.people_db.read_bytes() + stage.settings.people_db.with_name("people.db-wal").read_bytes()
    assert token.encode() not in content, "who copies the file has no token"
    clock.advance(2 * 86_400 + 1)
    assert people.token_session(token) is None
    again = people.make_token("lan", "wall", 2.0)
    people.set_password("lan", "mot cau khac han")
    assert people.token_session(again) is None
    people.close()


@pytest.mark.parametrize(("given", "said"), [
    (words("new", "nobody", "x"), "no such account"), (words("new", "lan", "x", 0.0), "give more than 0"),
    (words("new", "lan", "x", 4000.0), "366 at most"), (words("new", "lan", ""), "a label has 1 to 64"),
    (words("revoke", "lan", "x"), 'none that is called "x"'),
])
def test_what_cannot_be_is_refused_in_words(stage, given, said) -> None:
    with pytest.raises(SettingsError) as refused:
        run_token(stage.settings, "root", given)
    assert said in str(refused.value)


def test_the_list_tells_when_each_ends_and_was_used(stage) -> None:
    assert run_token(stage.settings, "root", words("list")) == "There are none."
    token = a_token(stage, "lan", "shift report")
    assert "never used" in run_token(stage.settings, "root", words("list"))
    people = open_people(stage.settings, WallClock())
    people.token_session(token)
    people.close()
    assert "shift report" in run_token(stage.settings, "root", words("list"))
    assert "last used" in run_token(stage.settings, "root", words("list"))


def test_a_person_has_a_pace_and_is_told_when_to_come_again() -> None:
    limit, now = RateLimit(), 5 * NS_PER_S
    for _ in range(int(BURST)):
        limit.spend("lan", now)
    with pytest.raises(RefusedRequest) as refused:
        limit.spend("lan", now)
    assert refused.value.status_code == 429 and refused.value.says.params == {"seconds": 1}
    limit.spend("chi", now)                     # nobody waits for another
    for _ in range(int(PER_S)):
        limit.spend("lan", now + NS_PER_S)
    with pytest.raises(RefusedRequest):
        limit.spend("lan", now + NS_PER_S)


def test_a_wild_script_is_slowed_over_http(stage) -> None:
    """In this process, with a clock that stands: on a busy machine a script may be slower than its pace."""
    clock = SteppedClock(1_800_000_000 * NS_PER_S)
    token = a_token(stage, "lan", clock=clock)
    people = open_people(stage.settings, clock)
    transport = httpx.ASGITransport(Web(stage.settings, people, clock).application())

    async def ask(count: int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(transport=transport, base_url=stage.address, headers=headers, timeout=60) as client:
            for _ in range(count):
                answer = await client.get("/api/replay")
            return answer

    assert asyncio.run(ask(int(BURST))).status_code == 200
    answer = asyncio.run(ask(1))
    assert answer.status_code == 429 and answer.headers["retry-after"] == "1"
    assert answer.json()["says"] == {"key": "refused.rate", "params": {"seconds": 1}}
    clock.advance(1)
    assert asyncio.run(ask(int(PER_S))).status_code == 200
    people.close()
