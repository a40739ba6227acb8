"""The journal and its replay: what was told is told again, bit by bit, at any speed, from any moment."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from station.access import Role
from station.contacts import TRAIL_LIMIT
from station.feed import Beat, FeedMessage, Gathered, PictureKeeper
from station.journal import BLOCK_NS, Gatherer, JournalFile, JournalReader, pack, unpack
from station.picture import AlarmState, Counts, Delta, Picture, TrailPoint
from station.replay import GAP_NS, Player
from station.retention_journal import JournalRetention, contacts_of
from station.store import MIND, open_store
from station.web_replay import Where
from tests.scene import KHE_DA, alarm, contact, corridor_entry, scene
from tests.station.stored import DAY_NS, a_contact, believe_date, fill_mind
from tests.web_stage import PASSWORD, Stage
from wire.clock import NS_PER_S, SteppedClock
from wire.units import Realm

T0 = 1_800_000_000 * NS_PER_S
MESSAGE = msgspec.json.Decoder(FeedMessage | Where)
EMPTY = Picture(Realm.TRAINING, 0, T0, (), (), (), (), (), (), Counts(0, 0, {}))


def at(number: int, fraction: float, now_ns: int, points: int):
    seen = contact(f"C-{number}", KHE_DA, fraction, now_ns, trail_s=0)
    trail = tuple(TrailPoint(16.62 + i * 1e-5, 106.59, now_ns - (points - i) * NS_PER_S) for i in range(points))
    return msgspec.structs.replace(seen, trail=trail, last_seen_ns=now_ns)


@st.composite
def nights(draw):
    """What a feed told, 100 ms to 3 s apart: contacts that come, move, change and go, alarms that are raised and taken."""
    now_ns, deltas, live = T0, [], {}
    for turn in range(1, draw(st.integers(2, 25))):
        now_ns += draw(st.integers(1, 30)) * 100_000_000
        moving = {n: at(n, draw(st.floats(0, 1)), now_ns, draw(st.integers(0, 3))) for n in draw(st.sets(st.integers(1, 4)))}
        for n, c in moving.items():
            old = live.get(n)
            trail = tuple(sorted({*(old.trail if old else ()), *c.trail}, key=lambda p: p.at_ns))[-TRAIL_LIMIT:]
            fresh = tuple(p for p in trail if not old or not old.trail or p.at_ns > old.trail[-1].at_ns)[:1]
            live[n] = msgspec.structs.replace(c, trail=((old.trail if old else ()) + fresh)[-TRAIL_LIMIT:])
            if draw(st.booleans()):
                live[n] = msgspec.structs.replace(live[n], plate="74C-123.45")
        gone = draw(st.sets(st.sampled_from(sorted(live)), max_size=1)) - set(moving) if live else set()
        for n in gone:
            live.pop(n)
        alarms = ()
        if not (moving or gone) or draw(st.booleans()):         # a mind tells nothing where nothing has changed
            state = draw(st.sampled_from(AlarmState))
            alarms = (alarm(f"A-{draw(st.integers(1, 3))}", now_ns, state=state, says=corridor_entry()),)
        deltas.append(Delta(
            turn, now_ns, tuple(live[n] for n in sorted(moving)), tuple(f"C-{n}" for n in sorted(gone)), alarms
        ))
    return deltas


def kept(deltas, whole_every: int):
    """The blocks a keeper would have written, each through its bytes."""
    gatherer, keeper, blocks = Gatherer(), PictureKeeper(EMPTY), []
    gatherer.begin(EMPTY)
    for i, delta in enumerate(deltas):
        gatherer.take(delta)
        keeper.lay(delta)
        if (i + 1) % whole_every == 0:
            blocks.append(unpack(pack(gatherer.block())))
            gatherer.begin(keeper.picture())
    blocks.append(unpack(pack(gatherer.block())))
    return blocks


def shown(picture: Picture):
    """What of a picture does not depend on how often it was told. Order is by id."""
    return (
        sorted(picture.contacts, key=lambda c: c.id), sorted(picture.alarms, key=lambda a: a.id),
        sorted(picture.matches, key=lambda m: m.id),
    )


def player(blocks, from_ns: int, to_ns: int) -> Player:
    after = {id(b): n for b, n in zip(blocks, [*blocks[1:], None], strict=True)}
    first = next((b for b in reversed(blocks) if b.picture.at_ns <= from_ns), blocks[0])
    return Player(first, from_ns, to_ns, lambda b: after[id(b)])


@hypothesis_settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(nights(), st.integers(1, 9), st.integers(0, 12), st.sampled_from([0.5, 3, 20, 60]))
def test_at_every_moment_a_replay_shows_what_the_screen_showed(deltas, whole_every, skip_s, speed) -> None:
    blocks = kept(deltas, whole_every)
    end_ns = deltas[-1].at_ns + NS_PER_S
    from_ns = min(T0 + skip_s * NS_PER_S, deltas[-1].at_ns)
    p = player(blocks, from_ns, end_ns)
    page = PictureKeeper(p.picture())           # the page knows nothing but what it is told
    then, waiting = PictureKeeper(EMPTY), list(deltas)
    told: Picture | Delta | None = p.picture()
    for _ in range(3000):
        due = waiting and waiting[0].at_ns <= p.at_ns
        while waiting and waiting[0].at_ns <= p.at_ns:
            then.lay(waiting.pop(0))
        assert not (due or told) or shown(page.picture()) == shown(then.picture()), f"at {(p.at_ns - T0) / 1e9:.1f} s"
        if p.ended:
            break
        told = p.advance(round(speed * 100_000_000))
        if isinstance(told, Picture):
            page.replace(told)
        elif told is not None:
            page.lay(told)
    assert p.ended and p.at_ns >= deltas[-1].at_ns


def test_a_night_without_the_station_is_jumped_over_and_told_as_a_whole_picture() -> None:
    first, second = Gatherer(), Gatherer()
    first.begin(EMPTY)
    first.take(Delta(1, T0 + NS_PER_S, (at(1, 0.1, T0 + NS_PER_S, 1),)))
    later = msgspec.structs.replace(EMPTY, at_ns=T0 + 3600 * NS_PER_S, contacts=(at(2, 0.5, T0 + 3600 * NS_PER_S, 1),))
    second.begin(later)
    second.take(Delta(9, T0 + 3601 * NS_PER_S, (at(2, 0.6, T0 + 3601 * NS_PER_S, 2),)))
    p = player([first.block(), second.block()], T0, T0 + 4000 * NS_PER_S)
    told = [p.advance(NS_PER_S) for _ in range(4)]
    jump = next(x for x in told if isinstance(x, Picture))
    assert [c.id for c in jump.contacts] == ["C-2"] and jump.at_ns >= later.at_ns and 3600 * NS_PER_S > GAP_NS


def test_the_journal_of_an_hour_of_a_busy_station_is_small_and_read_again(settings) -> None:
    """Sizes, so that an administrator can count on them: twenty contacts that move, told ten times a second."""
    clock = SteppedClock()
    file, gatherer, keeper = JournalFile(settings, clock), Gatherer(), PictureKeeper(EMPTY)
    gatherer.begin(EMPTY)
    began_ns, turn, seconds = T0, 0, 60
    for tenth in range(seconds * 10):
        now_ns, turn = T0 + tenth * 100_000_000, turn + 1
        moving = tuple(at(n, (tenth % 600) / 600, now_ns, 1) for n in range(1, 21))
        delta = Delta(turn, now_ns, moving)
        gatherer.take(delta)
        keeper.lay(delta)
        if now_ns - began_ns >= BLOCK_NS // 2:
            file.write(gatherer.block(), True)
            gatherer.begin(keeper.picture())
            began_ns = now_ns
    file.write(gatherer.block(), True)
    file.close()
    reader = JournalReader(settings)
    assert reader.span() == (T0, T0 + (seconds * 10 - 1) * 100_000_000)
    _, block = reader.at(T0 + 45 * NS_PER_S)
    assert block.picture.at_ns == T0 + 30 * NS_PER_S and reader.after(block) is None
    reader.close()
    a_day = settings.journal_db.stat().st_size / seconds * 86400
    assert a_day < 20e9, f"{a_day / 1e9:.1f} GB a day of twenty contacts that never stand still"


def test_a_block_that_is_damaged_is_said_and_stepped_over(settings) -> None:
    clock = SteppedClock()
    file, gatherer = JournalFile(settings, clock), Gatherer()
    for i in range(2):
        gatherer.begin(msgspec.structs.replace(EMPTY, at_ns=T0 + i * BLOCK_NS))
        gatherer.take(Delta(i + 1, T0 + i * BLOCK_NS + NS_PER_S, (at(1, 0.1, T0, 1),)))
        file.write(gatherer.block(), True)
    file.db.execute("UPDATE blocks SET content = x'00' WHERE id = 1")
    file.close()
    reader = JournalReader(settings)
    number, block = reader.at(T0)
    assert (number, block.picture.at_ns) == (2, T0 + BLOCK_NS)
    reader.close()


def test_who_raised_nothing_leaves_the_journal_with_the_contacts_and_who_did_stays(settings) -> None:
    clock = SteppedClock(utc_ns=T0)
    fill_mind(settings, [a_contact(2, [(16.62, 106.59)], at_ns=T0)])        # 1 is erased already, 2 has an alarm
    with contextlib.closing(open_store(settings.mind_db, MIND, settings.realm, clock)) as mind:
        mind.execute("INSERT INTO retention VALUES ('contacts', 5)")
    file, gatherer = JournalFile(settings, clock), Gatherer()
    gatherer.begin(EMPTY)
    first = msgspec.structs.replace(at(1, 0.1, T0, 1), id="C-000001")
    second = msgspec.structs.replace(at(1, 0.2, T0, 1), id="C-000002")
    gatherer.take(Delta(1, T0 + NS_PER_S, (first, second)))
    gatherer.take(Delta(2, T0 + 2 * NS_PER_S, (msgspec.structs.replace(first, score=0.9),)))
    file.write(gatherer.block(), True)
    later = SteppedClock(utc_ns=T0 + 9 * DAY_NS)
    retention = JournalRetention(file.db, settings, later)
    believe_date(settings, later.utc_ns())
    later.advance(3600)
    retention.step()
    (content,) = file.db.execute("SELECT content FROM blocks WHERE swept = 1").fetchone()
    assert contacts_of(unpack(content)) == {"C-000002"}
    assert b"C-000001" not in msgspec.msgpack.encode(unpack(content))
    much_later = SteppedClock(utc_ns=T0 + 91 * DAY_NS)
    retention = JournalRetention(file.db, settings, much_later)
    believe_date(settings, much_later.utc_ns())
    much_later.advance(3600)
    retention.step()
    assert file.db.execute("SELECT count(*) FROM blocks").fetchone() == (0,)
    assert dict(file.db.execute("SELECT kind, count FROM erased")) == {"unmatched": 1, "journal": 1}
    file.close()


# ---------------------------------------------------------------------------------------------------- over the network


@pytest.fixture
def stage(station_folder):
    it = Stage(station_folder)
    it.person("lan", Role.OPERATOR)
    yield it
    it.close()


def cookie(stage, name="lan") -> dict[str, str]:
    with httpx.Client(base_url=stage.address, timeout=60) as client:
        assert client.post("/api/login", json={"name": name, "password": PASSWORD}).status_code == 200
        return {"Cookie": "; ".join(f"{k}={v}" for k, v in client.cookies.items())}


def replay(stage, headers, query=""):
    address = stage.address.replace("http", "ws") + f"/replay/feed{query}"
    return connect(address, origin=stage.address, additional_headers=headers, max_size=None)


def until(socket, wanted, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = MESSAGE.decode(socket.recv(timeout=seconds))
        if wanted(message):
            return message
    raise AssertionError("it did not come")


def test_a_page_gets_the_past_in_the_words_of_the_live_feed_and_controls_it(stage) -> None:
    mind = stage.mind(scene())
    stage.start()
    headers = cookie(stage)
    end = time.monotonic() + 60
    while httpx.get(stage.address + "/api/figures", headers=headers, timeout=60).json()["mind_silent_since_ns"] is not None:
        assert time.monotonic() < end, "the web server does not hear the mind"
        time.sleep(0.1)
    for i in range(30):
        mind.say(contacts=(contact("K-9", KHE_DA, i / 30, time.time_ns()),))
        time.sleep(0.1)
    raised_ns = time.time_ns()
    mind.say(alarms=(alarm("A-0777", raised_ns, says=corridor_entry()),))
    time.sleep(13)                              # the keeper writes each ten seconds
    span = httpx.get(stage.address + "/api/replay", headers=headers, timeout=60).json()
    assert span["first_ns"] < raised_ns < span["last_ns"] <= span["now_ns"]
    with replay(stage, headers, f"?from={span['first_ns']}&speed=2") as socket:
        first = until(socket, lambda m: isinstance(m, Picture))
        assert {a.id for a in first.alarms} == {a.id for a in scene().alarms}
        delta = until(socket, lambda m: isinstance(m, Delta) and any(c.id == "K-9" for c in m.contacts))
        assert delta.at_ns < raised_ns
        beat = until(socket, lambda m: isinstance(m, Beat))
        assert beat.latency_p50_ms is None
        socket.send(json.dumps({"paused": True}))
        held = until(socket, lambda m: isinstance(m, Where) and m.paused)
        assert until(socket, lambda m: isinstance(m, Where)).at_ns == held.at_ns
        socket.send(json.dumps({"seek_ns": span["last_ns"], "paused": False, "speed": 60}))
        last = until(socket, lambda m: isinstance(m, Picture))
        assert any(a.id == "A-0777" for a in last.alarms)
        assert until(socket, lambda m: isinstance(m, Where) and m.ended).speed == 60
        for nonsense in ("{", '{"speed": 1000}', '{"seek_ns": "x"}', '{"type": "screen", "sound": "on", "visible": true}'):
            socket.send(nonsense)
        assert until(socket, lambda m: isinstance(m, Where)).speed == 60, "what cannot be is not done"
    looks = sqlite3.connect(stage.settings.record_db).execute("SELECT person, action FROM entries").fetchall()
    assert looks == [("lan", "replay.opened"), ("lan", "match.delivered")], "its question once, whatever was replayed"
    assert all(screens == 0 for screens in mind.screens), "a page of the past watches nothing"


def test_a_stranger_gets_no_past_and_a_page_of_the_past_no_secret(stage) -> None:
    stage.start()
    assert httpx.get(stage.address + "/replay", timeout=60).headers["location"] == "/login?to=/replay"
    assert httpx.get(stage.address + "/api/replay", timeout=60).status_code == 401
    with pytest.raises(Exception, match=r"403|4401"), replay(stage, {}) as socket:
        socket.recv(timeout=5)
    headers = cookie(stage)
    page = httpx.get(stage.address + "/replay", headers=headers, timeout=60).text
    assert 'data-realm="training" data-replay="yes">' in page and "/static/replay.css" in page
    me = httpx.get(stage.address + "/api/me?replay=yes", headers=headers, timeout=60).json()
    assert (me["name"], me["decides"], me["csrf"]) == ("lan", False, "")
    assert httpx.get(stage.address + "/api/replay", headers=headers, timeout=60).json()["first_ns"] is None
    with replay(stage, headers, "?from=1&to=2") as socket:
        assert until(socket, lambda m: isinstance(m, Where)).empty


def test_gathering_is_the_live_feeds_own() -> None:
    """Replay and feed share the code that gathers and the one that lays: they cannot come apart."""
    import station.feed
    import station.replay

    assert station.replay.Gathered is station.feed.Gathered is Gathered
    assert station.replay.PictureKeeper is station.feed.PictureKeeper
