"""The web server as a browser or a stranger meets it: a process of its own, real HTTP, a real WebSocket."""

import asyncio
import contextlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from station.access import Role, add_person
from station.feed import FeedMessage
from station.geography import draw_geography
from station.picture import AlarmState, ChangeAlarm, DecideMatch, Delta, MatchState, Picture
from station.store import INBOX, open_store
from station.subjects import Category
from station.watchlist import Draft, add_subject
from tests.scene import alarm, corridor_entry, scene
from tests.web_stage import PASSWORD, ROOT, SECTOR, WEB_ALONE, Stage
from wire.clock import WallClock

DECODER = msgspec.json.Decoder(FeedMessage)


@contextlib.contextmanager
def a_stage(web=""):
    stage = Stage(Path(tempfile.mkdtemp(prefix="tw-")), web=web)
    try:
        yield stage
    finally:
        stage.close()
        shutil.rmtree(stage.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def stage():
    """One station for all tests that leave no trace: "lan" is an operator, "kiem" an auditor, the mind has a scene."""
    with a_stage() as it:
        it.person()
        it.person("kiem", Role.AUDITOR)
        with contextlib.closing(open_store(it.settings.inbox_db, INBOX, it.settings.realm, WallClock())) as inbox:
            inbox.execute("PRAGMA foreign_keys = OFF")
            inbox.execute("INSERT INTO snapshots VALUES (7, 'cam-1', 'gate-1', 1, 0, '[]', ?)", [b"\xff\xd8 a picture"])
        it.start()
        it.mind(scene())
        yield it


@pytest.fixture
def client(stage):
    with httpx.Client(base_url=stage.address, timeout=15) as c:
        yield c


def log_in(client, name="lan", password=PASSWORD):
    answer = client.post("/api/login", json={"name": name, "password": password})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    return answer.json()


def cookie_of(client):
    return "; ".join(f"{k}={v}" for k, v in client.cookies.items())


@pytest.mark.parametrize("path", ["/api/geography", "/api/picture", "/api/figures", "/api/matches/M-31", "/api/snapshots/7",
                                  "/api/snapshots/7/about"])
def test_nothing_of_the_station_is_told_before_the_login(client, path):
    answer = client.get(path)
    assert answer.status_code == 401 and answer.json()["says"]["key"] == "refused.not_logged_in"


def test_the_page_leads_to_the_login_and_the_login_page_is_free(client):
    assert client.get("/").headers["location"] == "/login"
    for asked in ("/admin", "/watchlist", "/pilot", "/replay?from=1&to=2&speed=4", "/handover?lang=en", "/handover/H-1"):
        answer = client.get(asked)
        assert answer.status_code == 303 and answer.headers["cache-control"] == "no-store", asked
        assert answer.headers["location"].startswith("/login?to=/"), asked
        assert parse_qs(answer.headers["location"].partition("?")[2]) == {"to": [asked]}
    assert 'data-realm="training"' in client.get("/login").text
    assert client.get("/api/me").json() is None


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(client):
    answer = client.post("/api/login", json={"name": "lan", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert "Secure" not in cookie, "plain http on this machine: a Secure cookie would never come back"


def test_every_answer_carries_the_security_headers(client):
    log_in(client)
    for path in ("/", "/login", "/static/app.js", "/api/picture", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == ("no-cache" if path in ("/", "/login", "/static/app.js") else "no-store")
        assert "server" not in headers


def test_wrong_passwords_are_braked_with_a_time_to_wait():
    with a_stage() as it:
        it.person()
        it.start()
        guess = {"name": "lan", "password": "guess"}
        codes = [httpx.post(f"{it.address}/api/login", json=guess, timeout=15) for _ in range(6)]
        assert [c.status_code for c in codes] == [401] * 5 + [429]
        assert int(codes[-1].headers["retry-after"]) > 60
        assert codes[-1].json()["says"]["key"] == "refused.too_many_attempts"


def test_a_one_time_password_opens_nothing_but_the_change_of_it():
    with a_stage() as it:
        word = add_person(it.settings, "minh", Role.OPERATOR)
        it.start()
        with httpx.Client(base_url=it.address, timeout=15) as client:
            assert log_in(client, "minh", word)["must_change_password"]
            assert client.get("/api/picture").json()["says"]["key"] == "refused.change_password_first"
            assert client.get("/").status_code == 303
            short = client.post("/api/password", json={"old": word, "new": "short"})
            assert short.status_code == 400 and short.json()["says"]["params"]["least"] == 12
            fresh = client.post("/api/password", json={"old": word, "new": "a sentence of my own"})
            assert fresh.status_code == 200 and not fresh.json()["must_change_password"]
            assert client.get("/api/picture").status_code == 200


def test_a_change_needs_the_second_secret_and_our_own_origin(stage, client):
    log_in(client)
    asked = len(stage.minds[0].asked)
    body = {"to": "acknowledged"}
    without = client.post("/api/alarms/A-0205", json=body, headers={"X-CSRF-Token": "0" * 64})
    foreign = client.post("/api/alarms/A-0205", json=body, headers={"Origin": "http://evil.example"})
    form = client.post("/api/alarms/A-0205", data={"to": "acknowledged"})
    assert [without.status_code, foreign.status_code, form.status_code] == [403, 403, 415]
    assert client.post("/api/login", json={}, headers={"Origin": "http://evil.example"}).status_code == 403
    assert len(stage.minds[0].asked) == asked


def test_an_acknowledgement_reaches_the_mind_with_the_persons_name_and_the_second_hears_who_was_first(stage, client):
    log_in(client)
    first = client.post("/api/alarms/A-0207", json={"to": "acknowledged", "reason": " on my way "})
    assert first.status_code == 200
    assert stage.minds[0].asked[-1] == ChangeAlarm("A-0207", AlarmState.ACKNOWLEDGED, "lan", "on my way")
    second = client.post("/api/alarms/A-0207", json={"to": "acknowledged"})
    assert second.status_code == 409 and second.json()["says"]["params"]["person"] == "lan"


def test_an_auditor_looks_and_decides_nothing(stage, client):
    log_in(client, "kiem")
    asked = len(stage.minds[0].asked)
    assert client.get("/api/picture").status_code == 200
    assert client.post("/api/alarms/A-0205", json={"to": "acknowledged"}).status_code == 403
    assert client.post("/api/matches/M-31", json={"to": "rejected", "reason": "x"}).status_code == 403
    assert len(stage.minds[0].asked) == asked


def test_opening_a_match_shows_what_to_do_and_leaves_a_line_in_the_record():
    with a_stage() as it:
        it.person()
        draft = Draft(category=Category.COURIER, label="lorry", reason="seen twice", lawful_basis="order 12",
                      what_to_do="Stop politely, call the post.", expires_ns=time.time_ns() + 10**15, plates=("74C-123.45",))
        subject = add_subject(it.settings, "chief", draft)
        picture = scene()
        match = msgspec.structs.replace(picture.matches[0], subject=subject.id)
        it.start()
        it.mind(msgspec.structs.replace(picture, matches=(match,)))
        with httpx.Client(base_url=it.address, timeout=15) as client:
            log_in(client)
            wait_for(lambda: client.get("/api/matches/M-31").status_code == 200)
            opened = client.get("/api/matches/M-31").json()
            assert opened["what_to_do"] == "Stop politely, call the post."
            answer = client.post("/api/matches/M-31", json={"to": "rejected", "reason": "another lorry"})
            assert answer.status_code == 200
            assert it.minds[0].asked == [DecideMatch("M-31", MatchState.REJECTED, "lan", "another lorry")]
        with contextlib.closing(sqlite3.connect(it.settings.record_db)) as record:
            rows = record.execute("SELECT person, action FROM entries").fetchall()
        assert ("lan", "watchlist.looked") in rows


def test_a_picture_and_the_geography_come_whole(stage, client):
    log_in(client)
    wait_for(lambda: len(client.get("/api/picture").json()["contacts"]) == 6)
    geography = client.get("/api/geography").json()
    assert geography["name"] == "Lao Bảo" and geography["border_advisory"] and geography["terrain_synthetic"]
    assert {f["properties"]["id"] for f in geography["strips"]["features"]} == {"khe-da", "ben-song"}


def test_the_two_sides_fill_the_box_and_do_not_overlap():
    from shapely.geometry import shape

    from geofences.sector import load_sector

    g = draw_geography(load_sector(SECTOR), SECTOR)
    own, other = shape(g.own_side["geometry"]), shape(g.other_side["geometry"])
    west, south, east, north = g.box
    assert own.intersection(other).area < 1e-9
    assert own.area + other.area == pytest.approx((east - west) * (north - south), rel=2e-3)


def test_snapshots_come_from_the_inbox_and_strange_ids_from_nowhere(client):
    log_in(client)
    answer = client.get("/api/snapshots/7")
    assert answer.content == b"\xff\xd8 a picture" and answer.headers["content-type"] == "image/jpeg"
    for strange in ("8", "-1", "7%20", "..%2F..%2Fetc%2Fpasswd", "9" * 40):
        assert client.get(f"/api/snapshots/{strange}").status_code == 404
        assert client.get(f"/api/snapshots/{strange}/about").status_code == 404
    about = client.get("/api/snapshots/7/about").json()
    assert about == {"node": "cam-1", "sensor": "gate-1", "captured_ns": 0}


def test_static_files_are_compressed_known_by_a_tag_and_nothing_else_is_read(client):
    answer = client.get("/static/vendor/maplibre/maplibre-gl.mjs")
    assert answer.headers["content-encoding"] == "gzip" and answer.headers["content-type"].startswith("text/javascript")
    again = client.get("/static/vendor/maplibre/maplibre-gl.mjs", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    for path in ("/static/../web.py", "/static/%2e%2e/web.py", "/static/..%2fweb.py", "/static/nothing.js", "/static/"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"to":"no such state"}', b'{"to":"closed","more":1}', b"\xff\xfe"])
def test_bodies_that_are_no_request_are_refused(client, body):
    log_in(client)
    answer = client.post("/api/alarms/A-0205", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["says"]["key"] == "refused.http"


def test_a_body_without_end_is_cut_off(client):
    log_in(client)
    answer = client.post("/api/alarms/A-0205", content=b" " * 100_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def feed_of(stage, client, origin=None):
    return connect(stage.address.replace("http", "ws") + "/feed", origin=origin or stage.address,
                   additional_headers={"Cookie": cookie_of(client)}, max_size=None)


def test_the_feed_sends_a_picture_and_then_changes(stage, client):
    log_in(client)
    with feed_of(stage, client) as feed:
        picture = DECODER.decode(feed.recv(5))
        assert isinstance(picture, Picture)
        stage.minds[0].say(alarms=(alarm("A-0400", time.time_ns(), says=corridor_entry()),))
        until = time.monotonic() + 5
        while time.monotonic() < until:
            message = DECODER.decode(feed.recv(5))
            if isinstance(message, Delta) and any(a.id == "A-0400" for a in message.alarms):
                return
    raise AssertionError("the alarm did not arrive within 5 s")


@pytest.mark.parametrize("how", ["no cookie", "foreign page", "no origin"])
def test_the_feed_is_closed_to_strangers(stage, client, how):
    if how != "no cookie":
        log_in(client)
    origin = {"foreign page": "http://evil.example", "no cookie": None}.get(how)
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        if how == "no origin":
            address = stage.address.replace("http", "ws") + "/feed"
            with connect(address, additional_headers={"Cookie": cookie_of(client)}) as feed:
                feed.recv(5)
        with feed_of(stage, client, origin) as feed:
            feed.recv(5)


def test_a_logout_closes_the_door(client):
    log_in(client)
    assert client.post("/api/logout", json={}).status_code == 200
    assert client.get("/api/picture").status_code == 401


def test_fifty_pages_at_once_all_hear_it(stage, client):
    from websockets.asyncio.client import connect as connect_async

    log_in(client)

    async def story():
        async def one():
            address = stage.address.replace("http", "ws") + "/feed"
            headers = {"Cookie": cookie_of(client)}
            async with connect_async(address, origin=stage.address, additional_headers=headers, max_size=None) as feed:
                ready.release()
                while True:
                    message = DECODER.decode(await feed.recv())
                    if not isinstance(message, Delta):
                        continue
                    if any(a.id == "A-0500" for a in message.alarms):
                        return
        ready = asyncio.Semaphore(0)
        pages = [asyncio.create_task(one()) for _ in range(50)]
        for _ in range(50):
            await ready.acquire()
        await asyncio.sleep(0.3)
        stage.minds[0].say(alarms=(alarm("A-0500", time.time_ns(), says=corridor_entry()),))
        await asyncio.gather(*pages)

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_port_in_use_is_one_line_and_a_status():
    with a_stage() as it, socket.socket() as taken:
        taken.bind(("127.0.0.1", it.port))
        taken.listen()
        command = "import sys; from ground_station import main; sys.exit(main(sys.argv[1:]))"
        out = subprocess.run(
            [sys.executable, "-c", command, "serve", "--only", "web", "--config", str(it.settings.file)],
            cwd=ROOT, capture_output=True, text=True, timeout=30,
        )
        assert out.returncode == 2
        assert f"127.0.0.1:{it.port} cannot be opened" in out.stderr and "Traceback" not in out.stderr
        assert len(out.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_when_told_to_with_a_page_open(number):
    with a_stage() as it:
        it.person()
        it.start()
        with httpx.Client(base_url=it.address, timeout=15) as client:
            log_in(client)
            with feed_of(it, client) as feed:
                feed.recv(5)
                it.process.send_signal(number)
                assert it.process.wait(10) == 0


def certificate(folder):
    """A certificate for this test alone."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl on this machine to make a certificate with")
def test_with_a_certificate_the_page_is_https_and_the_cookie_secure():
    with a_stage('tls_certificate = "certificate.pem"\ntls_key = "key.pem"\n') as it:
        certificate(it.folder)
        it.person()
        it.start()
        with httpx.Client(base_url=it.address.replace("http", "https"), verify=False, timeout=15) as client:
            answer = client.post("/api/login", json={"name": "lan", "password": PASSWORD})
            assert "Secure" in answer.headers["set-cookie"] and "__Host-" in answer.headers["set-cookie"]
            assert client.get("/api/me").json()["name"] == "lan"


@pytest.mark.parametrize("web, says", [
    ('tls_certificate = "c.pem"\n', "tls_key is missing"),
    ('tls_certificate = "c.pem"\ntls_key = "k.pem"\n', "not usable"),
])
def test_a_certificate_that_cannot_be_used_is_told_with_file_and_line(web, says):
    with a_stage(web) as it:
        command = [sys.executable, "-c", WEB_ALONE, str(it.settings.file)]
        out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
        assert out.returncode != 0 and says in out.stderr and "station.toml:" in out.stderr


def wait_for(condition, seconds=8):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
