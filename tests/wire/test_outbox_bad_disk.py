"""Disks that are full or cannot be written, for real: a small tmpfs in a mount namespace, and a limit on the size of files.

Each case runs in a process of its own, because the limit and the mount are the process's; it tells what it saw in one line.
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

START = """
    import json, logging, os, resource, signal, subprocess, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    sys.path.insert(0, {here!r})
    from test_outbox import batch, health, snapshot
    from wire.clock import SteppedClock
    from wire.outbox import Outbox
    from wire.units import Realm

    logging.basicConfig(level=logging.WARNING)
    folder, clock = Path(sys.argv[1]), SteppedClock()

    def opened():
        return Outbox(folder / "outbox.db", "gate-1", Realm.TRAINING, clock)

    def told(**said):
        print(json.dumps(said))

    def adds_up(outbox):
        at = outbox.ledger
        return at.messages_put == at.messages_acknowledged + at.messages_refused + at.messages_dropped + outbox.depth
"""

FULL = """
    outbox = opened()
    put = list(outbox.put(*[batch(3)] * 20))
    fill()
    while not outbox.problem and len(put) < 20_000:
        put += outbox.put(batch(20), batch(20), batch(20))
        clock.advance(0.1)
    said = outbox.problem
    for _ in range(30):
        put += outbox.put(batch(20), snapshot(5000))
        clock.advance(0.1)
    missing = len(set(put) - {p.identity for p in outbox.pending(30_000)})
    # The link is up all the while: what cannot be written goes to the station from memory.
    acknowledged = outbox.acknowledge([p.identity for p in outbox.pending(30_000)][:50] + put[-4:])
    while_full = adds_up(outbox)
    free()
    clock.advance(2.0)
    put += outbox.put(batch(1))
    after = outbox.problem
    left = [p.identity for p in outbox.pending(30_000)]
    outbox.close()
    again = opened()
    told(said=said, after=after, missing=missing, acknowledged=acknowledged, while_full=while_full,
         put=len(put), left=len(set(left)), again=[p.identity for p in again.pending(30_000)] == left,
         adds_up=adds_up(again), dropped=again.ledger.messages_dropped, messages_put=again.ledger.messages_put)
"""

LIMITED = """
    def fill():
        size = (folder / "outbox.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, resource.RLIM_INFINITY))

    def free():
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""

TMPFS = """
    folder = folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)

    def fill():
        with (folder / "other").open("wb", buffering=0) as other:
            try:
                while True:
                    other.write(bytes(4096))
            except OSError:
                other.truncate(other.tell() - 100_000)      # nearly full, as other programs leave it

    def free():
        (folder / "other").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
"""

SMALL = """
    import wire.outbox
    from wire.outbox_space import RESERVE_BYTES

    folder = folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size={size_mb}m", "tmpfs", str(folder)], check=True)
    reserve = folder / "outbox.db.reserve"

    def space():
        at = os.statvfs(folder)
        return at.f_bavail * at.f_frsize

    def others_take_all():
        with (folder / "other").open("wb", buffering=0) as other:
            while space():
                other.write(bytes(min(space(), 1_000_000)))

    def drained(outbox):
        sent = set()
        for _ in range(200):
            pending = [p.identity for p in outbox.pending(500)]
            sent.update(pending)
            outbox.acknowledge(pending)
            clock.advance(1.1)
            outbox.tend()
        return sent
"""

ALONE = """
    outbox = opened()
    said, sightings, least = "", [], space()
    for _ in range(40):
        sightings += outbox.put(*[batch(2)] * 40, *[snapshot(50_000)] * 20)[:40]
        clock.advance(1.0)
        said, least = said or outbox.problem, min(least, space())
    waiting = {p.identity for p in outbox.pending(30_000)}
    dropped = outbox.ledger
    counted, depth = adds_up(outbox), outbox.depth
    drained(outbox)
    told(said=said, least=least, kept=set(sightings) <= waiting, dropped=dropped.messages_dropped, depth=depth,
         detections_dropped=dropped.detections_dropped, counted=counted, left=outbox.depth, adds_up=adds_up(outbox))
"""

TAKEN = """
    wire.outbox.SETTLED_LIMIT = 2000
    outbox = opened()
    stood = reserve.stat().st_blocks * 512
    put = []
    for _ in range(200):
        put += outbox.put(*[batch(2)] * 100)
    outbox.close()                                      # its journal begins anew and has to grow
    outbox = opened()
    others_take_all()
    sent = set()
    for _ in range(2):
        clock.advance(120.0)
        sent.update(p.identity for p in outbox.pending(600))
        outbox.acknowledge(sent)                        # enough of them to be written at once
    while_short = reserve.exists()
    sent |= drained(outbox)
    left, said = outbox.depth, outbox.problem
    clock.advance(120.0)
    outbox.put(health())
    anew, beside = reserve.stat().st_size, space()
    outbox.acknowledge([p.identity for p in outbox.pending(9)])
    outbox.close()
    again = opened()
    told(stood=stood, need=RESERVE_BYTES, while_short=while_short, sent=len(sent & set(put)), put=len(put),
         left=left, said=said, anew=anew, beside=beside, again=again.depth, adds_up=adds_up(again),
         dropped=again.ledger.messages_dropped)
"""

SHARED = """
    outbox = opened()
    outbox.put(*[batch(20)] * 500, *[snapshot(5000)] * 2000)
    others_take_all()
    sightings = []
    for _ in range(100):
        sightings += outbox.put(batch(20), batch(20))
        clock.advance(1.0)
    at = outbox.ledger
    waiting = {p.identity for p in outbox.pending(30_000)}
    told(pictures_mb=at.messages_dropped * 0.005, added_mb=200 * len(outbox.pending(1)[0].data) / 1e6, said=outbox.problem,
         kept=set(sightings) <= waiting, detections_dropped=at.detections_dropped, adds_up=adds_up(outbox))
"""

READ_ONLY = """
    folder = folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], check=True)
    first = opened()
    old = first.put(batch(3), batch(3))
    first.close()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    outbox = opened()
    put = [*outbox.put(batch(2)), *outbox.put(health(), snapshot(3000))]
    said = outbox.problem
    pending = [p.identity for p in outbox.pending(99)]
    acknowledged = outbox.acknowledge(pending[:1])
    while_bad = adds_up(outbox)
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    clock.advance(2.0)
    outbox.tend()
    left = [p.identity for p in outbox.pending(99)]
    told(said=said, pending=pending == [put[0], put[1], put[2]], acknowledged=acknowledged, while_bad=while_bad,
         left=sorted(left) == sorted([*old, *put[1:]]), after=outbox.problem, adds_up=adds_up(outbox),
         new=len({i[0] for i in [*old, *put]}), put=outbox.ledger.messages_put)
"""


def ran(tmp_path, *parts, mounts=False):
    code = "\n".join(textwrap.dedent(p) for p in (START.format(root=str(ROOT), here=str(Path(__file__).parent)), *parts))
    command = [sys.executable, "-c", code, str(tmp_path)]
    if mounts:
        command = [*namespace(), *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def namespace():
    """A mount namespace of one's own: what is mounted in it is gone with it."""
    command = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    try:
        able = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("may not mount here; needs unshare with mount, as root or with user namespaces")
    return command


def check_full(told, stderr):
    assert "takes no messages" in told["said"]
    assert stderr.count("takes no messages") == 1 and "takes messages again" in stderr
    assert told["missing"] == 0, "something that was put is neither on the disk nor in memory"
    assert told["acknowledged"] == 54
    assert told["while_full"] and told["adds_up"] and told["again"]
    assert told["after"] == "" and told["dropped"] == 0
    assert told["left"] == told["put"] - 54
    assert told["messages_put"] == told["put"]


def test_files_that_may_grow_no_more_lose_nothing_and_the_link_goes_on_from_memory(tmp_path):
    check_full(*ran(tmp_path, LIMITED, FULL))


def test_a_full_disk_loses_nothing_and_the_link_goes_on_from_memory(tmp_path):
    check_full(*ran(tmp_path, TMPFS, FULL, mounts=True))


def test_an_outbox_alone_on_a_small_disk_drops_its_oldest_pictures_before_the_disk_is_full(tmp_path):
    told, _ = ran(tmp_path, SMALL.format(size_mb=36), ALONE, mounts=True)
    assert told["said"] == "" and told["least"] > 1_000_000
    assert told["kept"] and told["detections_dropped"] == 0
    assert told["dropped"] == 2400 - told["depth"] > 400 and told["counted"]
    assert told["left"] == 0 and told["adds_up"]


def test_a_backlog_on_a_disk_without_a_free_byte_is_sent_to_its_end_and_the_reserve_comes_back_after_it(tmp_path):
    told, _ = ran(tmp_path, SMALL.format(size_mb=48), TAKEN, mounts=True)
    assert told["stood"] >= told["need"], "real blocks, and not a hole"
    assert told["sent"] == told["put"] == 20_000, "more than are remembered while the disk takes no deletion"
    assert told["left"] == 0 and told["said"] == "" and told["dropped"] == 0
    assert not told["while_short"]
    assert told["anew"] == told["need"] <= told["beside"], "the emptied file gave its room back, and some stays free"
    assert told["again"] == 0 and told["adds_up"]


def test_on_a_disk_that_others_fill_sightings_take_the_place_of_pictures_and_no_more_goes_than_twice_what_comes(tmp_path):
    told, _ = ran(tmp_path, SMALL.format(size_mb=64), SHARED, mounts=True)
    assert told["said"] == "" and told["kept"] and told["detections_dropped"] == 0 and told["adds_up"]
    assert 0 < told["pictures_mb"] < 2 * told["added_mb"] + 100 * 0.005


def test_a_reserve_is_not_made_where_it_would_fill_the_disk(tmp_path):
    told, _ = ran(tmp_path, SMALL.format(size_mb=12), """
        outbox = opened()
        outbox.put(batch(1))
        told(there=reserve.exists(), said=outbox.problem)
    """, mounts=True)
    assert told == {"there": False, "said": ""}


def test_a_reserve_left_half_made_by_a_kill_is_made_whole_and_what_waits_is_untouched(tmp_path):
    told, stderr = ran(tmp_path, """
        first = opened()
        put = first.put(batch(3), batch(3))
        first.close()
        reserve = folder / "outbox.db.reserve"
        reserve.write_bytes(bytes(5000))
        again = opened()
        told(whole=reserve.stat().st_blocks * 512, kept=[p.identity for p in again.pending(9)] == list(put))
    """)
    assert told["whole"] >= 8_000_000 and told["kept"] and stderr == ""


def test_a_node_that_starts_on_a_read_only_disk_sees_and_tells_and_writes_it_all_down_once_it_can(tmp_path):
    told, stderr = ran(tmp_path, READ_ONLY, mounts=True)
    assert "Read-only file system" in told["said"]
    assert "takes messages again" in stderr
    assert told["pending"] and told["acknowledged"] == 1 and told["while_bad"]
    assert told["left"] and told["after"] == "" and told["adds_up"]
    assert told["new"] == 2, "its boot is one that nobody had"
    assert told["put"] == 5


def test_a_folder_where_nobody_may_write_is_an_error_for_a_person(tmp_path):
    told, _ = ran(tmp_path, """
        (folder / "outbox.db").mkdir()
        try:
            opened()
        except ValueError as error:
            told(said=str(error), kind=type(error).__name__)
    """)
    assert told["kind"] == "SettingsError" and "cannot be opened" in told["said"] and "data_dir" in told["said"]
