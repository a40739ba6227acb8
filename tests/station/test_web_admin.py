"""Administration: who may what, and that it holds: accounts, keys of nodes, tokens, backups, and the record."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from pathlib import Path

import httpx
import pytest

from station.access import AccessError, Role, open_people
from station.backup import MANIFEST
from station.backup_show import backups_folder
from station.own_key import ensure_station_key
from station.record import Record
from station.settings import load_station_settings
from tests.scene import scene
from tests.station.test_web import a_stage, log_in, wait_for
from tests.web_stage import PASSWORD
from wire.clock import WallClock
from wire.keys import NodeKind, load_allow_list, load_station_key, make_node_key

pytestmark = pytest.mark.together(90)

ROLES = {
    "op": Role.OPERATOR, "chief": Role.SUPERVISOR, "pilot": Role.PILOT, "kiem": Role.AUDITOR, "root": Role.ADMINISTRATOR,
}
ADMINISTRATION = ("people", "nodes", "tokens", "backups")


@pytest.fixture
def stage():
    with a_stage() as it:
        for name, role in ROLES.items():
            it.person(name, role)
        ensure_station_key(it.settings)
        it.start()
        yield it


@pytest.fixture
def as_(stage):
    with contextlib.ExitStack() as open_clients:

        def enter(name):
            client = open_clients.enter_context(httpx.Client(base_url=stage.address, timeout=120))
            log_in(client, name)
            return client

        yield enter


def traces(stage, action):
    with contextlib.closing(sqlite3.connect(stage.settings.record_db)) as record:
        rows = record.execute("SELECT person, details FROM entries WHERE action = ? ORDER BY number", (action,)).fetchall()
    return [(person, json.loads(details)) for person, details in rows]


def test_each_role_sees_its_sections_and_changes_nothing_that_is_not_its_own(stage, as_) -> None:
    for name in ROLES:
        client = as_(name)
        for section in ADMINISTRATION:
            assert client.get(f"/api/admin/{section}").status_code == (200 if name == "root" else 403), (name, section)
        assert client.get("/api/admin/record").status_code == (200 if name in ("chief", "kiem") else 403), name
        assert client.get("/api/admin/health").status_code == (200 if name in ("chief", "kiem", "root") else 403), name
        if name != "root":
            for path, body in (
                ("people", {"name": "x", "role": "operator"}), ("people/password", {"name": "op"}),
                ("people/role", {"name": name, "role": "administrator"}), ("people/disable", {"name": "root"}),
                ("nodes", {"node": "x", "kind": "camera", "public": "x" * 40}), ("nodes/revoke", {"node": "x"}),
                ("tokens", {"name": "op", "label": "x", "days": 1}), ("tokens/revoke", {"name": "op", "label": "x"}),
                ("backups", {}),
            ):
                assert client.post(f"/api/admin/{path}", json=body).status_code == 403, (name, path)
    root = as_("root")
    for path in ("people", "nodes", "backups"):
        answer = root.post(f"/api/admin/{path}", json={}, headers={"X-CSRF-Token": "x"})
        assert answer.json()["says"]["key"] == "refused.csrf"
    assert root.post("/api/admin/record/verify", json={}).status_code == 403
    assert {p["name"]: p["role"] for p in root.get("/api/admin/people").json()}["kiem"] == "auditor"


def test_an_account_is_made_given_another_role_disabled_and_let_in_again(stage, as_) -> None:
    root = as_("root")
    made = root.post("/api/admin/people", json={"name": "Trần Hoa", "role": "operator"}).json()
    with httpx.Client(base_url=stage.address, timeout=60) as hoa:
        assert log_in(hoa, "Trần Hoa", made["password"])["must_change_password"]
        assert hoa.post("/api/password", json={"old": made["password"], "new": PASSWORD}).status_code == 200
        assert hoa.get("/api/picture").status_code == 200
        assert root.post("/api/admin/people/role", json={"name": "Trần Hoa", "role": "pilot"}).status_code == 200
        assert hoa.get("/api/picture").status_code == 401, "who has another role logs in anew"
        assert log_in(hoa, "Trần Hoa")["role"] == "pilot"
        token = root.post("/api/admin/tokens", json={"name": "Trần Hoa", "label": "wall", "days": 30}).json()["token"]
        assert root.post("/api/admin/people/disable", json={"name": "Trần Hoa"}).status_code == 200
        assert hoa.get("/api/picture").status_code == 401
        assert httpx.get(f"{stage.address}/api/picture", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        refused = hoa.post("/api/login", json={"name": "Trần Hoa", "password": PASSWORD})
        assert refused.status_code == 401 and refused.json()["says"]["key"] == "refused.disabled"
        wrong = hoa.post("/api/login", json={"name": "Trần Hoa", "password": "mot cau khac han"})
        assert wrong.json()["says"]["key"] == "refused.login", "who guesses learns nothing"
        again = root.post("/api/admin/tokens", json={"name": "Trần Hoa", "label": "wall", "days": 30})
        assert again.json()["says"]["key"] == "refused.disabled"
        assert root.post("/api/admin/people/enable", json={"name": "Trần Hoa"}).status_code == 200
        log_in(hoa, "Trần Hoa")
        word = root.post("/api/admin/people/password", json={"name": "Trần Hoa"}).json()["password"]
        assert hoa.get("/api/picture").status_code == 401 and log_in(hoa, "Trần Hoa", word)["must_change_password"]
    assert traces(stage, "people.added") == [("root", {"account": "Trần Hoa", "role": "operator"})]
    assert [len(traces(stage, f"people.{a}")) for a in ("role", "disabled", "enabled", "password")] == [1, 1, 1, 1]
    content = b"".join(f.read_bytes() for f in stage.settings.data_dir.glob("record.db*"))
    assert word.encode() not in content and token.encode() not in content and made["password"].encode() not in content


def test_nobody_locks_themselves_out_nor_the_last_administrator(stage, as_) -> None:
    root = as_("root")
    for act in ("disable", "password"):
        answer = root.post(f"/api/admin/people/{act}", json={"name": "root"})
        assert answer.status_code == 409 and answer.json()["says"]["key"] == "admin.refused.oneself"
    assert root.post("/api/admin/people/role", json={"name": "root", "role": "pilot"}).status_code == 409
    assert root.post("/api/admin/people", json={"name": "op", "role": "pilot"}).json()["says"]["key"] == "refused.name_taken"
    assert root.post("/api/admin/people", json={"name": "x" * 65, "role": "pilot"}).json()["says"]["key"] == "refused.name"
    assert root.post("/api/admin/people/disable", json={"name": "no"}).json()["says"]["key"] == "refused.no_such_person"
    people = open_people(stage.settings)
    for act in (lambda: people.set_role("root", Role.PILOT), lambda: people.set_disabled("root", True)):
        with pytest.raises(AccessError, match="last administrator"):
            act()
    people.set_role("chief", Role.ADMINISTRATOR)
    people.set_disabled("root", True)
    people.close()
    assert traces(stage, "people.added") == [], "what was refused is not on the record as done"


def test_a_node_is_let_in_and_revoked_and_the_rest_of_the_list_stays_as_it_was(stage, as_) -> None:
    root, settings = as_("root"), stage.settings
    keys = {name: make_node_key(name, NodeKind.CAMERA, settings.realm) for name in ("gate-1", "gate-2", "gate-3")}
    settings.nodes_file.write_text(
        "# ours\n[[nodes]]\nnode = 'old'\nkind = 'drone'\nrealm = 'training'\n"
        f"public = '{make_node_key('old', NodeKind.DRONE, settings.realm).public}'\n# about what follows\n"
    )
    for name, key in keys.items():
        wanted = {"node": name, "kind": "camera", "public": f"'{key.public}' "}
        assert root.post("/api/admin/nodes", json=wanted).status_code == 200
    assert {n.node for n in load_allow_list(settings.nodes_file, settings.realm).values()} == {"old", *keys}
    seen = root.get("/api/admin/nodes").json()
    assert [n["node"] for n in seen["nodes"]] == ["gate-1", "gate-2", "gate-3", "old"] and seen["trouble"] == ""
    own = load_station_key(settings.station_key).public
    assert seen["nodes"][0]["last_heard_ns"] is None and seen["station_public"] == own
    for node, public, key in (
        ("gate-1", make_node_key("x", NodeKind.CAMERA, settings.realm).public, "admin.refused.node_listed"),
        ("gate-9", keys["gate-1"].public, "admin.refused.key_listed"), ("gate-9", own, "admin.refused.own_key"),
        ("gate 9", keys["gate-1"].public, "admin.refused.node_name"), ("gate-9", "short", "admin.refused.no_key"),
        ("gate-9", "'" + "x" * 38 + "\n", "admin.refused.no_key"),
        ("../x", keys["gate-1"].public, "admin.refused.node_name"),
        ("gate-9", '"; [[nodes]] \'' + "x" * 26, "admin.refused.no_key"),
    ):
        answer = root.post("/api/admin/nodes", json={"node": node, "kind": "camera", "public": public})
        assert answer.json()["says"]["key"] == key
    assert root.post("/api/admin/nodes/revoke", json={"node": "gate-2"}).status_code == 200
    assert root.post("/api/admin/nodes/revoke", json={"node": "gate-2"}).json()["says"]["key"] == "admin.refused.no_node"
    assert root.post("/api/admin/nodes/revoke", json={"node": "old"}).status_code == 200
    text = settings.nodes_file.read_text()
    assert {n.node for n in load_allow_list(settings.nodes_file, settings.realm).values()} == {"gate-1", "gate-3"}
    assert "# ours" in text and "# about what follows" in text
    assert [d["node"] for _, d in traces(stage, "node.added")] == ["gate-1", "gate-2", "gate-3"]
    assert [d["node"] for _, d in traces(stage, "node.revoked")] == ["gate-2", "old"]
    settings.nodes_file.write_text("[[nodes]\n")
    broken = root.get("/api/admin/nodes").json()
    assert broken["nodes"] == [] and "nodes.toml" in broken["trouble"]
    assert root.post("/api/admin/nodes/revoke", json={"node": "gate-1"}).status_code == 503


def test_a_node_that_the_mind_hears_is_shown_with_when(stage, as_) -> None:
    root = as_("root")
    stage.mind(scene())
    wait_for(lambda: root.get("/api/admin/nodes").json()["nodes"])
    heard = root.get("/api/admin/nodes").json()["nodes"]
    assert all(n["last_heard_ns"] and not n["allowed"] and n["public"] == "" for n in heard)
    health = root.get("/api/admin/health").json()
    assert {a["rule"] for a in health["troubles"]} <= {"sensor_blind", "node_silent", "clock_wrong", "no_coverage"}
    assert health["store"]["disk"]["free_bytes"] > 0


def test_a_token_is_made_once_and_revoked(stage, as_) -> None:
    root = as_("root")
    for days, label, key in ((0, "x", "admin.refused.token_days"), (400, "x", "admin.refused.token_days"),
                             (3, " ", "admin.refused.token_label")):
        assert root.post("/api/admin/tokens", json={"name": "op", "label": label, "days": days}).json()["says"]["key"] == key
    token = root.post("/api/admin/tokens", json={"name": "op", "label": "wall", "days": 30}).json()["token"]
    head = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{stage.address}/api/me", headers=head).json()["name"] == "op"
    twice = root.post("/api/admin/tokens", json={"name": "op", "label": "wall", "days": 30})
    assert twice.json()["says"]["key"] == "admin.refused.token_there"
    assert [(t["name"], t["label"]) for t in root.get("/api/admin/tokens").json()] == [("op", "wall")]
    assert token not in root.get("/api/admin/tokens").text
    assert root.post("/api/admin/tokens/revoke", json={"name": "op", "label": "wall"}).status_code == 200
    assert httpx.get(f"{stage.address}/api/picture", headers=head).status_code == 401
    gone = root.post("/api/admin/tokens/revoke", json={"name": "op", "label": "wall"})
    assert gone.status_code == 404 and gone.json()["says"]["key"] == "admin.refused.no_token"


def test_the_record_is_read_in_pages_and_verified_and_a_changed_line_is_named(stage, as_) -> None:
    kiem = as_("kiem")
    with contextlib.closing(Record(stage.settings, WallClock())) as record:
        record.append_all("somebody", "history.searched", [{"n": n} for n in range(60)])
    first = kiem.get("/api/admin/record?limit=40").json()
    rest = kiem.get(f"/api/admin/record?limit=40&before={first['next']}").json()
    numbers = [e["number"] for e in first["rows"] + rest["rows"]]
    assert numbers == list(range(61, 0, -1)) and first["rows"][0]["action"] == "record.read" and rest["next"] is None
    verdict = kiem.post("/api/admin/record/verify", json={}).json()
    assert verdict["broken"] is None and verdict["entries"] == 61 and len(verdict["head"]) == 64
    assert traces(stage, "record.verified")[-1][1]["head"] == verdict["head"]
    with contextlib.closing(sqlite3.connect(stage.settings.record_db)) as db:
        db.execute("DROP TRIGGER entries_no_update")
        db.execute("UPDATE entries SET person = 'nobody' WHERE number = 30")
        db.commit()
    verdict = kiem.post("/api/admin/record/verify", json={}).json()
    assert verdict["entries"] == 29 and "entry 30 was changed" in verdict["broken"]


def test_a_backup_is_made_in_the_background_and_listed_and_a_half_one_is_named(stage, as_) -> None:
    root = as_("root")
    seen = root.get("/api/admin/backups").json()
    assert seen["backups"] == [] and seen["running_since_ns"] is None
    with contextlib.closing(Record(stage.settings, WallClock())) as record:
        record.append("somebody", "history.searched")
    assert root.post("/api/admin/backups", json={}).status_code == 200
    wait_for(lambda: root.get("/api/admin/backups").json()["running_since_ns"] is None)
    seen = root.get("/api/admin/backups").json()
    assert seen["failed"] == "" and len(seen["backups"]) == 1 and seen["same_disk"]
    made = seen["backups"][0]
    assert made["entries"] == 2 and made["bytes"] > 0 and (backups_folder(stage.settings) / made["name"] / MANIFEST).exists()
    assert traces(stage, "store.backed_up") == [("root", {"backup": made["name"]})]
    half = backups_folder(stage.settings) / "trailwatch-training-20990101T000000Z.partial"
    half.mkdir()
    names = [(b["name"], b["made_ns"]) for b in root.get("/api/admin/backups").json()["backups"]]
    assert names[0] == (half.name, None) and len(names) == 2
    health = root.get("/api/admin/health").json()["store"]
    assert all(f["trouble"] == "" for f in health["files"])


def test_a_backup_that_cannot_be_made_says_why_and_a_damaged_file_is_named(stage, as_) -> None:
    root = as_("root")
    backups_folder(stage.settings).write_text("in the way")
    root.post("/api/admin/backups", json={})
    wait_for(lambda: root.get("/api/admin/backups").json()["running_since_ns"] is None)
    assert root.get("/api/admin/backups").json()["failed"] != ""
    stage.settings.mind_db.write_bytes(b"this is no database, and long enough to be taken for one" * 50)
    files = {f["name"]: f["trouble"] for f in root.get("/api/admin/health").json()["store"]["files"]}
    assert "mind.db" in files["mind.db"] and files["people.db"] == ""


def test_backups_go_where_the_settings_say() -> None:
    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    sector = Path(__file__).resolve().parents[2] / "configs/sectors/laobao/sector.toml"
    file = folder / "station.toml"
    file.write_text(
        f'sector = "{sector}"\nrealm = "training"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:1"\n'
        '[web]\nhost = "127.0.0.1"\nport = 0\n[backup]\nto = "elsewhere"\n'
    )
    assert backups_folder(load_station_settings(file)) == (folder / "elsewhere").resolve()
    shutil.rmtree(folder)
