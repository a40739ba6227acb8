"""The trainer's desk: for trainers alone, and for nobody who comes from elsewhere; what it has of truth, no station has."""

import json
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from sim.director_orders import OrderSocket
from sim.exercise_desk import Desk, DeskFolder
from sim.exercise_run import LockstepRun
from sim.exercise_scenario import LIBRARY, load_exercise
from station.access import People, Role, open_people
from station.web import Web
from tests.sim.test_exercise_run import for_so_long
from wire.clock import WallClock

PASSWORD = "mot cau de nho"
READS = (
    "exercises", "exercises/decoy", "exercises/decoy/ground", "running", "truth", "score", "runs", "build", "build/decoy",
    "past",
    "runs/x/debrief", "runs/x/ground", "runs/x/tracks", "runs/x/debrief.pdf", "runs/x/crossings.csv",
)
CHANGES = ("start", "order", "check", "save", "past/take", "runs/x/review")


@pytest.fixture(scope="module")
def desk():
    """A desk with a trainer and an operator, and one run that is over."""
    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    where = DeskFolder(folder)
    settings = where.make(8090)
    clock = WallClock()
    people = open_people(settings, clock)
    for name, role in (("trainer", Role.TRAINER), ("lan", Role.OPERATOR), ("admin", Role.ADMINISTRATOR)):
        people.add(name, role, PASSWORD)
    exercise = for_so_long(load_exercise(LIBRARY / "single-walker.toml"), 100.0)
    LockstepRun(exercise, where.runs / "20260101-120000").run()
    made = Desk(settings, where, people, (), clock)
    made.draw_basemap = lambda: None        # some seconds of work that no test here looks at
    with TestClient(made.application(), base_url="http://127.0.0.1:8090") as client:
        yield client, where, settings
    people.close()
    shutil.rmtree(folder, ignore_errors=True)


def enter(client, name):
    """Headers of a change by this person; the cookie goes with the client."""
    client.cookies.clear()
    answer = client.post("/api/login", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200
    return {"x-csrf-token": answer.json()["csrf"]}


@pytest.mark.parametrize("name", ["", "lan", "admin"])
def test_nobody_but_a_trainer_reads_or_changes_anything(desk, name):
    client, *_ = desk
    client.cookies.clear()
    headers = enter(client, name) if name else {}
    for path in READS:
        assert client.get(f"/api/desk/{path}").status_code == (403 if name else 401), path
    for path in CHANGES:
        assert client.post(f"/api/desk/{path}", json={}, headers=headers).status_code == (403 if name else 401), path
    if not name:
        assert client.get("/", follow_redirects=False).headers["location"] == "/login"
        assert client.get("/builder", follow_redirects=False).headers["location"] == "/login?to=/builder"


def test_a_change_needs_the_secret_of_the_session_and_the_desks_own_page(desk):
    client, *_ = desk
    headers = enter(client, "trainer")
    wanted = {"exercise": "nobody"}
    assert client.post("/api/desk/start", json=wanted).status_code == 403
    elsewhere = headers | {"origin": "http://elsewhere.example"}
    assert client.post("/api/desk/start", json=wanted, headers=elsewhere).status_code == 403
    refused = client.post("/api/desk/start", json=wanted, headers=headers)
    assert refused.status_code == 409 and "there is no nobody here" in refused.json()["says"]["params"]["words"]


def test_no_station_has_an_address_of_the_desk_or_of_the_truth(desk):
    """Of the same person with the same rights, at a training station of the same program."""
    _, _, settings = desk
    people = People(settings.data_dir / "other.db", settings.realm, WallClock())
    people.add("trainer", Role.TRAINER, PASSWORD)
    station = TestClient(Web(settings, people, WallClock()).application(), base_url="http://127.0.0.1:8090")
    headers = enter(station, "trainer")
    for path in (*READS, *CHANGES):
        assert station.get(f"/api/desk/{path}").status_code == 404, path
        assert station.post(f"/api/desk/{path}", json={}, headers=headers).status_code == 404, path
    described = json.dumps(station.get("/api/openapi.json").json()).lower()
    assert "/api/picture" in described and "truth" not in described and "/desk/" not in described
    people.close()


def test_what_is_over_is_debriefed_on_the_screen_on_paper_and_as_tables(desk):
    client, where, _ = desk
    enter(client, "trainer")
    (run,) = client.get("/api/desk/runs").json()
    assert (run["id"], run["exercise"], run["state"]) == ("20260101-120000", "single-walker", "over")
    assert (run["title"], run["words"]["vi"]["title"]) == ("A single walker by day", "Một người đi lẻ ban ngày")
    at = f"/api/desk/runs/{run['id']}"
    found = client.get(f"{at}/debrief").json()
    assert found["score"]["pd"]["of"] == 1 and found["timeline"]
    assert (where.runs / run["id"] / "debrief.json").exists()
    tracks = client.get(f"{at}/tracks").json()
    assert {t["name"] for t in tracks["tracks"]} == {"walker", "farmer"}
    assert len(tracks["shown"]) > 90 and any(s["contacts"] for s in tracks["shown"])
    assert client.get(f"{at}/debrief.pdf").content.startswith(b"%PDF")
    for table in ("crossings", "timeline", "moments", "people", "teams"):
        text = client.get(f"{at}/{table}.csv")
        assert text.status_code == 200 and "attachment" in text.headers["content-disposition"]
    assert client.get(f"{at}/passwords.csv").status_code == 404
    assert client.get("/api/desk/runs/..%2F..%2Fdata/debrief").status_code in (404, 409)
    compared = client.get(f"{at}/debrief?compare={run['id']}").json()
    assert compared["earlier"] == [run["id"]] and compared["compared"]


def test_an_exercise_is_opened_checked_and_saved_and_then_stands_in_the_list(desk):
    client, where, _ = desk
    headers = enter(client, "trainer")
    opened = client.get("/api/desk/build/single-walker").json()
    data = opened["opened"]["data"]
    assert [e["id"] for e in opened["ground"]["eyes"]] == ["camera-1", "camera-2"]
    assert len(opened["ground"]["eyes"][0]["footprint"]) > 3
    assert "khe-da" in {line["name"] for line in opened["ground"]["lines"]}
    data["cameras"][0]["yaw_deg"] = 90
    wish = {"name": "mine", "base": "single-walker", "data": data}
    checked = client.post("/api/desk/check", json=wish, headers=headers).json()
    assert checked["checked"]["refused"] == "" and checked["eyes"][0]["yaw_deg"] == 90
    assert checked["eyes"][0]["footprint"] != opened["ground"]["eyes"][0]["footprint"]
    assert client.post("/api/desk/save", json=wish, headers=headers).status_code == 200
    assert client.post("/api/desk/save", json=wish, headers=headers).status_code == 409         # it is there already
    first, *_, walker = [e for e in client.get("/api/desk/exercises").json() if e["name"] in ("mine", "single-walker")]
    assert first["words"] == walker["words"] and walker["words"]["vi"]["title"] == "Một người đi lẻ ban ngày"
    assert (first["name"], first["is_own"], first["refused"]) == ("mine", True, "")
    taken = client.post("/api/desk/past/take", headers=headers, json={
        "source": "20260101-120000", "name": "again", "from_ns": 0, "to_ns": 2**62})
    assert taken.status_code == 200 and (where.exercises / "again.toml").exists()
    with sqlite3.connect(where.runs / "20260101-120000/station/record.db") as record:
        said = [str(row) for row in record.execute("select * from entries") if "exercise.taken" in str(row)]
    assert len(said) == 1 and "trainer (trainer's desk)" in said[0]


def test_a_desk_that_is_started_again_finds_what_runs(desk):
    """A director's socket in a run's folder is all that it needs."""
    client, where, _ = desk
    headers = enter(client, "trainer")
    run, heard, stop = where.runs / "20260101-130000", [], threading.Event()
    run.mkdir()
    socket = OrderSocket(run)

    def answer(order):
        heard.append(order)
        return "{}" if order == "look" else "it goes on"

    def serve():
        while not stop.is_set():
            socket.turn(50, answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert client.get("/api/desk/running").json()["id"] == run.name
        refused = client.post("/api/desk/start", json={"exercise": "decoy"}, headers=headers)
        assert refused.status_code == 409 and "is running" in refused.json()["says"]["params"]["words"]
        assert client.post("/api/desk/order", json={"order": "inject", "inject": "bag"}, headers=headers).status_code == 200
        assert client.post("/api/desk/order", json={"order": "look"}, headers=headers).status_code == 400
        assert heard[-1] == "inject bag"
    finally:
        stop.set()
        thread.join()
        socket.close()
        run.rmdir()
    assert client.get("/api/desk/running").json() is None
