"""The watchlist's routes: who may what, two persons, every look on the record, and files that are looked at before."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from station.access import Role
from station.guard import BODY_LIMIT_BYTES
from station.subjects import Category
from station.watchlist import Draft, add_subject, approve_subject
from station.web_watchlist import FILE_LIMIT_BYTES, IN_THE_SERVER_BYTES
from tests.station.test_web import a_stage, log_in

ROLES = {"op": Role.OPERATOR, "chief": Role.SUPERVISOR, "pilot": Role.PILOT, "trainer": Role.TRAINER, "kiem": Role.AUDITOR,
         "root": Role.ADMINISTRATOR}
LATER = (datetime.now(UTC) + timedelta(days=100)).strftime("%Y-%m-%d")
SOON = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%d")
MUCH_LATER = (datetime.now(UTC) + timedelta(days=300)).strftime("%Y-%m-%d")
GOOD = {"category": "courier", "label": "Xe tải trắng", "reason": "chở thuê", "lawful_basis": "QĐ 12/2026",
        "what_to_do": "dừng, kiểm tra", "expires": LATER, "plates": "74C-123.45"}


@pytest.fixture(scope="module")
def stage():
    with a_stage() as it:
        for name, role in ROLES.items():
            it.person(name, role)
        it.start()
        yield it


@pytest.fixture
def as_(stage):
    """A client of somebody who is logged in, with the secret that changes need."""
    with contextlib.ExitStack() as open_clients:

        def enter(name):
            client = open_clients.enter_context(httpx.Client(base_url=stage.address, timeout=60))
            log_in(client, name)
            return client

        yield enter


def listed(stage, category=Category.COURIER, approved=True, label="label"):
    draft = Draft(category, label, "reason", "order 12", "speak to her alone", time.time_ns() + 30 * 86_400 * 10**9)
    subject = add_subject(stage.settings, "somebody", draft)
    return approve_subject(stage.settings, "another", subject.id) if approved else subject


def traces(stage, action, person=None):
    with contextlib.closing(sqlite3.connect(stage.settings.record_db)) as record:
        rows = record.execute("SELECT person, details FROM entries WHERE action = ? ORDER BY number", (action,)).fetchall()
    return [json.loads(d) for p, d in rows if person in (None, p)]


@pytest.mark.parametrize("name", list(ROLES))
def test_each_role_reads_its_lanes_and_no_other(stage, as_, name) -> None:
    welfare, enforcement = listed(stage, Category.AT_RISK), listed(stage)
    helps, decides = name in ("op", "chief"), name != "kiem"
    client, before = as_(name), len(traces(stage, "watchlist.listed", name))
    for lane, may in (("welfare", helps), ("enforcement", decides)):
        answer = client.get(f"/api/watchlist?lane={lane}")
        assert answer.status_code == (200 if may else 403)
        if may:
            rows = answer.json()["rows"]
            assert rows and {r["category"] in ("at_risk", "missing_person") for r in rows} == {lane == "welfare"}
            assert ("welfare" in answer.json()["waiting"]) is helps, "not even the number"
    assert len(traces(stage, "watchlist.listed", name)) - before == helps + decides
    for subject, may in ((welfare, helps), (enforcement, decides)):
        looks = len(traces(stage, "watchlist.looked", name))
        answer = client.get(f"/api/watchlist/{subject.id}")
        assert answer.status_code == (200 if may else 403) and ("speak to her alone" in answer.text) is may
        assert len(traces(stage, "watchlist.looked", name)) - looks == may
    answer = client.post("/api/watchlist", json=GOOD)
    assert answer.status_code == (200 if helps else 403)
    assert client.post(f"/api/watchlist/{enforcement.id}/end", json={"reason": "x"}).status_code == (200 if helps else 403)


def test_a_change_needs_the_sessions_own_secret_and_our_own_page(stage, as_) -> None:
    client, subject = as_("chief"), listed(stage, approved=False)
    changes = [("/api/watchlist", GOOD), ("/api/watchlist/approve", {"subjects": [subject.id]}),
               *((f"/api/watchlist/{subject.id}/{act}", {"reason": "x", "expires": LATER}) for act in ("end", "extend"))]
    for path, body in changes:
        assert client.post(path, json=body, headers={"X-CSRF-Token": "0" * 64}).json()["says"]["key"] == "refused.csrf"
        other = client.post(path, json=body, headers={"Origin": "http://evil.example"})
        assert other.status_code == 403 and other.json()["says"]["key"] == "refused.origin"
    path = "/api/watchlist/preview?name=a.csv"
    headers = {"X-CSRF-Token": "", "Content-Type": "application/octet-stream"}
    assert client.post(path, content=b"x", headers=headers).status_code == 403
    assert client.get(f"/api/watchlist/{subject.id}").json()["state"] == "waiting"


def test_a_nomination_is_refused_field_by_field_in_words_and_taken_when_it_is_right(stage, as_) -> None:
    client = as_("op")
    wrong = GOOD | {"label": "", "expires": "2020-01-01", "plates": "74", "corridors": "nowhere", "hours": "9",
                    "party_size": "0", "vehicles": "74C-999.99/ufo", "reason": "=1+1", "category": "witch"}
    answer = client.post("/api/watchlist", json=wrong).json()
    assert answer["subject"] is None
    said = {p["column"]: p["says"]["key"] for p in answer["problems"]}
    assert said == {
        "label": "nominate.empty", "expires": "nominate.over", "plates": "nominate.no_plate", "reason": "nominate.formula",
        "corridors": "nominate.no_corridor", "hours": "nominate.no_hours", "party_size": "nominate.no_party",
        "vehicles": "nominate.none_of", "category": "nominate.none_of",
    }
    assert client.post("/api/watchlist", json=GOOD | {"approved_by": "op"}).status_code == 400
    long = "ố" * 2000
    hostile = "<img src=x onerror=alert(1)>"
    texts = dict.fromkeys(("reason", "lawful_basis", "what_to_do"), long)
    made = client.post("/api/watchlist", json=GOOD | texts | {"label": hostile})
    assert made.status_code == 200 and len(made.request.content) > BODY_LIMIT_BYTES
    record = client.get(f"/api/watchlist/{made.json()['subject']}").json()
    assert (record["subject"]["label"], record["state"]) == (hostile, "waiting")
    assert client.post("/api/watchlist", json=GOOD | {"reason": "x" * 70_000}).status_code == 413


def test_a_record_takes_two_persons_and_shows_who_did_what(stage, as_) -> None:
    op, chief = as_("op"), as_("chief")
    name = op.post("/api/watchlist", json=GOOD).json()["subject"]
    own = op.post("/api/watchlist/approve", json={"subjects": [name]})
    assert own.status_code == 409 and own.json()["says"]["key"] == "watchlist.refused.second_person"
    assert not op.get(f"/api/watchlist/{name}").json()["may_approve"]
    assert chief.get(f"/api/watchlist/{name}").json()["may_approve"]
    assert chief.post("/api/watchlist/approve", json={"subjects": [name]}).status_code == 200
    again = chief.post("/api/watchlist/approve", json={"subjects": [name]})
    assert again.json()["says"]["key"] == "watchlist.refused.approved"
    record = op.get(f"/api/watchlist/{name}").json()
    assert record["state"] == "in_force" and record["subject"]["approved_by"] == "chief"
    assert [(t["person"], t["action"]) for t in record["traces"]] == [
        ("op", "watchlist.looked"), ("chief", "watchlist.approved"), ("chief", "watchlist.looked"),
        ("op", "watchlist.looked"), ("op", "watchlist.nominated"),
    ]


def test_an_extension_waits_for_a_second_person_and_the_old_end_holds_meanwhile(stage, as_) -> None:
    op, chief = as_("op"), as_("chief")
    subject = listed(stage)
    path = f"/api/watchlist/{subject.id}"
    for body, key in (
        ({"expires": MUCH_LATER, "reason": " "}, "watchlist.refused.reason_needed"),
        ({"expires": "soon", "reason": "x"}, "nominate.no_date"),
        ({"expires": SOON, "reason": "x"}, "watchlist.refused.not_longer"),
    ):
        assert op.post(f"{path}/extend", json=body).json()["says"]["key"] == key
    assert op.post(f"{path}/agree", json={}).json()["says"]["key"] == "watchlist.refused.no_extension"
    assert op.post(f"{path}/extend", json={"expires": MUCH_LATER, "reason": "vụ án còn mở"}).status_code == 200
    assert op.post(f"{path}/agree", json={}).json()["says"]["key"] == "watchlist.refused.second_person"
    waits = chief.get(path).json()
    assert waits["subject"]["expires_ns"] == subject.expires_ns and waits["may_agree"]
    assert subject.id in [r["id"] for r in chief.get("/api/watchlist?shown=waiting").json()["rows"]]
    assert chief.post(f"{path}/agree", json={}).status_code == 200
    after = chief.get(path).json()
    assert after["subject"]["expires_ns"] > subject.expires_ns and after["subject"]["extension"] is None
    assert [t["action"].partition(".")[2] for t in after["traces"]][1:4] == ["extended", "looked", "extension_asked"]
    assert after["traces"][1]["details"]["reason"] == "vụ án còn mở"
    unapproved = listed(stage, approved=False)
    answer = op.post(f"/api/watchlist/{unapproved.id}/extend", json={"expires": MUCH_LATER, "reason": "x"})
    assert answer.json()["says"]["key"] == "watchlist.refused.not_approved"


def test_an_end_needs_a_reason_and_is_for_good(stage, as_) -> None:
    op = as_("op")
    subject = listed(stage)
    assert op.post(f"/api/watchlist/{subject.id}/end", json={"reason": "  "}).status_code == 400
    assert op.post(f"/api/watchlist/{subject.id}/end", json={"reason": "found"}).status_code == 200
    assert op.get(f"/api/watchlist/{subject.id}").json()["state"] == "over"
    late = op.post(f"/api/watchlist/{subject.id}/extend", json={"expires": LATER, "reason": "x"})
    assert late.json()["says"]["key"] == "watchlist.refused.expired"
    for name in ("S-999999", "S-1'--", "x"):
        assert op.get(f"/api/watchlist/{name}").status_code == 404


def test_a_report_names_who_says_so_and_stands_in_the_record(stage, as_) -> None:
    op = as_("op")
    subject = listed(stage, Category.MISSING_PERSON)
    path = f"/api/watchlist/{subject.id}/reports"
    report = {
        "corridor": "khe-da", "reported_by": "cô giáo Mai", "hours_ago": 1.0, "hours_ahead": 2.0, "says": "đi hai người",
    }
    for change, key in (
        ({"reported_by": " "}, "watchlist.refused.reporter"), ({"corridor": "nowhere"}, "nominate.no_corridor"),
        ({"hours_ago": 72.0}, "watchlist.refused.window"),
    ):
        assert op.post(path, json=report | change).json()["says"]["key"] == key
    assert op.post(path, json=report | {"hours_ago": 1e9}).status_code == 400
    assert op.post(path, json=report).status_code == 200
    shown = op.get(f"/api/watchlist/{subject.id}").json()
    found = [(r["reported_by"], r["corridor"], r["says"]) for r in shown["reports"]]
    assert found == [("cô giáo Mai", "khe-da", "đi hai người")]
    assert "cô giáo Mai" not in json.dumps(traces(stage, "watchlist.reported")), "the record has ids alone"


def test_a_list_is_filtered_searched_and_given_in_pages(stage, as_) -> None:
    op = as_("op")
    mine = [listed(stage, label=f"tim-{i}").id for i in range(5)]
    waits = listed(stage, approved=False, label="tim-cho").id
    rows = op.get("/api/watchlist?find=TIM-").json()["rows"]
    assert [r["id"] for r in rows] == [waits, *reversed(mine)]
    assert [r["id"] for r in op.get("/api/watchlist?find=tim-&shown=waiting").json()["rows"]] == [waits]
    first = op.get("/api/watchlist?find=tim-&limit=4").json()
    rest = op.get(f"/api/watchlist?find=tim-&limit=4&before={first['next']}").json()
    assert [r["id"] for r in first["rows"] + rest["rows"]] == [waits, *reversed(mine)] and rest["next"] is None
    assert op.get("/api/watchlist?shown=wrong").status_code == 400 and op.get("/api/watchlist?limit=9999").status_code == 400
    assert "tim-" not in json.dumps(traces(stage, "watchlist.listed"))


# --------------------------------------------------------------------------------------------------------------- files


def send(client, what, content, name="list.csv", **more):
    return client.post(f"/api/watchlist/{what}", params={"name": name, **more}, content=content,
                       headers={"Content-Type": "application/octet-stream"})


def a_file(lines, category="courier"):
    head = "category,label,reason,lawful_basis,what_to_do,expires,plates\n"
    return (head + "".join(f"{category},so {i},ly do,QD 1,dung lai,{LATER},74C-{i:06d}\n" for i in range(lines))).encode()


def test_a_file_is_looked_at_first_and_taken_only_as_it_was_looked_at(stage, as_) -> None:
    op = as_("op")
    content = a_file(3) + f"courier,,ly do,QD 1,dung lai,{LATER},1\n".encode()
    before = op.get("/api/watchlist?limit=1").json()["rows"][0]["id"]
    seen = send(op, "preview", content).json()
    assert (seen["lines"], seen["good"], seen["bad"], seen["added"]) == (4, {"courier": 3}, 1, 0)
    assert [(p["line"], p["column"], p["says"]["key"]) for p in seen["problems"]] == [
        (5, "label", "nominate.empty"), (5, "plates", "nominate.no_plate")]
    assert op.get("/api/watchlist?limit=1").json()["rows"][0]["id"] == before, "nothing was taken"
    assert traces(stage, "watchlist.import_previewed", "op")[-1]["sha256"] == seen["sha256"]
    changed = send(op, "import", content + b"\n", sha256=seen["sha256"])
    assert changed.status_code == 409 and changed.json()["says"]["key"] == "import.changed"
    assert send(op, "import", content, sha256=seen["sha256"], whole="yes").json()["added"] == 0
    made = send(op, "import", content, sha256=seen["sha256"]).json()
    assert made["added"] == 3
    ids = [r["id"] for r in op.get("/api/watchlist?limit=3").json()["rows"]]
    assert ids == sorted(ids, reverse=True) and made["last"] == ids[0] and made["first"] == ids[2]
    record = op.get(f"/api/watchlist/{ids[1]}").json()
    assert record["state"] == "waiting" and record["traces"][1]["action"] == "watchlist.imported"
    assert as_("chief").post("/api/watchlist/approve", json={"subjects": ids}).status_code == 200
    again = send(op, "preview", content).json()
    assert {n["says"]["key"] for n in again["notes"]} == {"import.plate_listed"}


def test_a_file_that_is_of_no_use_is_refused_in_words(stage, as_) -> None:
    op = as_("op")
    for name, content, key in (
        ("a.xlsx", b"x", "import.no_form"), ("a.csv", b"category,label\n", "import.no_column"),
        ("a.csv", a_file(0).replace(b"plates", b"plate"), "import.strange_column"), ("a.json", b"{", "refused.watchlist"),
    ):
        answer = send(op, "preview", content, name)
        assert answer.status_code == 409 and answer.json()["says"]["key"] == key
    assert op.post("/api/watchlist/preview?name=a.csv", json={}).status_code == 415
    assert send(as_("root"), "preview", a_file(1)).status_code == 403, "it might hold records of the welfare lane"


def test_a_long_file_is_read_beside_the_server_and_one_without_end_is_refused(stage, as_) -> None:
    op = as_("op")
    content = a_file(8000)
    assert IN_THE_SERVER_BYTES < len(content) < FILE_LIMIT_BYTES
    seen = send(op, "preview", content).json()
    assert seen["good"] == {"courier": 8000} and seen["problems_more"] == 0
    refused = send(op, "preview", b"[" + b" " * 300_000 + b"{", "a.json")
    assert refused.status_code == 409 and "not readable as JSON" in refused.json()["says"]["params"]["detail"]
    too_long = send(op, "preview", b"x" * (FILE_LIMIT_BYTES + 1))
    assert too_long.status_code == 413 and too_long.json()["says"]["key"] == "refused.file_too_large"
    without_length = send(op, "preview", iter([b"x" * 1_000_000] * 21))
    assert without_length.status_code == 413
