"""A damaged file is put aside, said and salvaged; a boot is never given twice; states do not wear the disk."""

import shutil
import sqlite3

import pytest

from wire.clock import SteppedClock
from wire.messages import (
    Box,
    Detection,
    DetectionBatch,
    NodeHealth,
    PlacementPoint,
    Refusal,
    Snapshot,
)
from wire.outbox import Outbox
from wire.outbox_file import DAMAGED_KEPT
from wire.settings import SettingsError
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm, TimeQuality

PAGE = 4096


def batch(n=1):
    place = PlacementPoint(GroundPosition(16.6, 106.6), Covariance2(1, 0, 1))
    return DetectionBatch("cam", 1, TimeQuality.NTP, "v", (
        Detection(1, ObjectClass.PERSON, 0.9, Box(1, 2, 3, 4), place, True, ("khe-da",)),) * n)


def health(at_ns=1):
    return NodeHealth(at_ns, 1.0, 1, 0, 5.0, {}, 0, 0, 0, 1.0, 1.0, TimeQuality.NTP, True)


def opened(path, clock=None, **options):
    return Outbox(path, "gate-1", Realm.TRAINING, clock or SteppedClock(), **options)


def adds_up(outbox):
    at = outbox.ledger
    return (
        at.messages_put == at.messages_acknowledged + at.messages_refused + at.messages_dropped + outbox.depth
        and at.detections_put >= at.detections_acknowledged + at.detections_refused + at.detections_dropped
    )


def spoil(path, share, pages=2):
    """Overwrite some pages, at a share of the file's length, as a dying card does."""
    data = bytearray(path.read_bytes())
    at = int(len(data) / PAGE * share) * PAGE
    data[at:at + pages * PAGE] = b"\xa5" * pages * PAGE
    path.write_bytes(data)


@pytest.mark.parametrize("content", [b"not a database at all, sorry" * 50, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_put_aside_as_it_was_and_a_new_one_is_begun(tmp_path, content, caplog):
    path = tmp_path / "outbox.db"
    path.write_bytes(content)
    outbox = opened(path)
    assert (tmp_path / "outbox.db.damaged-1").read_bytes() == content
    assert "is damaged" in caplog.text
    assert "put aside as" in outbox.problem and "damaged-1" in outbox.problem and "not known" in outbox.problem
    outbox.put(batch())
    assert outbox.depth == 1 and adds_up(outbox)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_pages_lost_in_the_middle_cost_what_stood_on_them_and_that_is_counted(tmp_path, share, caplog):
    path = tmp_path / "outbox.db"
    first = opened(path)
    put = first.put(*[batch(3) for _ in range(2000)])
    first.acknowledge(put[:100])
    first.refuse([Refusal(*put[100], "no")])
    first.close()
    spoil(path, share)
    clock = SteppedClock()
    outbox = opened(path, clock)
    boots = {first.boot, outbox.boot}
    put += outbox.put(batch(3))
    for _ in range(5):                  # read and written until the damage is met, and beyond
        outbox.pending(5000)
        outbox.acknowledge([p.identity for p in outbox.pending(1)])
        clock.advance(2.0)
        put += outbox.put(batch(3))
        boots.add(outbox.boot)
    left = {p.identity for p in outbox.pending(5000)}
    at = outbox.ledger
    assert adds_up(outbox)
    assert at.messages_put == len(put) == 2006
    assert left <= set(put)
    assert len(left) == outbox.depth > 1500
    assert at.detections_dropped == 3 * at.messages_dropped
    assert 0 < at.messages_dropped < 100
    assert f"{at.messages_dropped} are lost and counted as dropped" in outbox.problem
    assert "is damaged" in caplog.text
    assert [p.name for p in tmp_path.glob("*.damaged-?")] == ["outbox.db.damaged-1"]
    assert boots == {first.boot, outbox.boot}
    outbox.close()
    assert adds_up(opened(path))


def test_a_number_of_the_file_that_is_none_is_damage_and_what_waits_is_saved(tmp_path):
    path = tmp_path / "outbox.db"
    first = opened(path)
    put = first.put(batch(2), batch(3))
    first.close()
    with sqlite3.connect(path) as db:
        db.execute("update meta set value = '7\x7f' where key = 'boot'")
    outbox = opened(path)
    assert [p.identity for p in outbox.pending(9)] == list(put)
    assert "2 messages that waited are saved, 0 are lost" in outbox.problem
    assert outbox.boot > first.boot and adds_up(outbox)


def test_an_index_that_names_a_message_that_is_not_there_is_damage_and_all_that_waits_is_sent(tmp_path):
    """One bit of it, flipped on the card: 77 stands there as 589. SQLite reads that without a word."""
    path, clock = tmp_path / "outbox.db", SteppedClock()
    first = opened(path, clock)
    put = first.put(*[batch(2) for _ in range(300)])
    first.close()
    with sqlite3.connect(path) as db:
        db.execute("update queue set sequence = 589 where sequence = 77")
        entry = db.execute("select * from sqlite_master where name = 'queue_order'").fetchone()
        db.execute("pragma writable_schema = on")
        db.execute("delete from sqlite_master where name = 'queue_order'")
    with sqlite3.connect(path) as db:           # which knows of no such index, and leaves it as it is
        db.execute("update queue set sequence = 77 where sequence = 589")
        db.execute("pragma writable_schema = on")
        db.execute("insert into sqlite_master values (?, ?, ?, ?, ?)", entry)
    outbox = opened(path, clock)
    outbox.pending(999)
    clock.advance(2.0)
    assert [p.identity for p in outbox.pending(999)] == list(put)
    assert "300 messages that waited are saved, 0 are lost" in outbox.problem
    assert adds_up(outbox)


def test_the_damage_stays_a_problem_until_somebody_can_have_read_it_and_no_longer(tmp_path):
    clock = SteppedClock()
    (tmp_path / "outbox.db").write_bytes(b"x" * 9000)
    outbox = opened(tmp_path / "outbox.db", clock)
    clock.advance(3000)
    assert "damaged" in outbox.problem
    clock.advance(3000)
    assert outbox.problem == ""


def test_a_card_that_dies_again_and_again_does_not_fill_itself(tmp_path):
    path = tmp_path / "outbox.db"
    for k in range(DAMAGED_KEPT + 3):
        path.write_bytes(b"%d" % k * 9000)
        opened(path).close()
    kept = sorted(p.name for p in tmp_path.glob("*.damaged-?"))
    assert kept == [f"outbox.db.damaged-{k}" for k in range(1, DAMAGED_KEPT + 1)]
    assert (tmp_path / kept[-1]).read_bytes().startswith(b"%d" % (DAMAGED_KEPT + 2))


def test_killed_between_the_two_renames_the_salvaged_file_is_taken(tmp_path):
    path = tmp_path / "outbox.db"
    first = opened(path)
    put = first.put(batch(), batch())
    first.close()
    path.rename(tmp_path / "outbox.db.new")
    assert [p.identity for p in opened(path).pending(9)] == list(put)


def test_killed_while_salvaging_it_is_done_anew(tmp_path):
    path = tmp_path / "outbox.db"
    first = opened(path)
    put = first.put(batch(), batch())
    first.close()
    (tmp_path / "outbox.db.new").write_bytes(b"half a file")
    assert [p.identity for p in opened(path).pending(9)] == list(put)
    assert not (tmp_path / "outbox.db.new").exists()


def test_a_damaged_file_of_another_node_is_an_error_and_nothing_is_touched(tmp_path):
    path = tmp_path / "outbox.db"
    first = opened(path)
    first.put(*[batch(3) for _ in range(2000)])
    first.close()
    with pytest.raises(SettingsError, match='belongs to node "gate-1"'):
        Outbox(path, "gate-2", Realm.TRAINING, SteppedClock())
    assert [p.name for p in tmp_path.glob("*.damaged-*")] == []


def test_a_backup_put_back_a_cloned_card_and_a_new_card_never_repeat_an_identity(tmp_path):
    """The station would take the second message for a repetition of the first, and say that it has it."""
    path, copy = tmp_path / "a" / "outbox.db", tmp_path / "b" / "outbox.db"
    first = opened(path)
    given = [*first.put(batch())]
    first.close()
    shutil.copytree(path.parent, copy.parent)
    for where in (path, copy, path, copy):
        outbox = opened(where)
        given += outbox.put(batch(), batch())
        outbox.close()
    shutil.rmtree(path.parent)
    given += opened(path).put(batch())
    assert len(set(given)) == len(given)


def test_a_file_of_the_first_version_is_brought_up_to_date_with_what_waits_in_it(tmp_path):
    path = tmp_path / "outbox.db"
    first = opened(path)
    put = first.put(batch(2), batch(3))
    first.close()
    with sqlite3.connect(path) as db:
        db.execute("alter table ledger drop column bytes_waiting")
        db.execute("update meta set value = '1' where key = 'schema'")
    # The smallest limit: what waits is known to be more than that, so the next put drops the two old ones.
    second = opened(path, limit_bytes=1)
    second.put(batch(4))
    assert second.ledger.messages_dropped == len(put) + 1 and second.ledger.detections_dropped == 9


def test_a_newer_version_is_refused_in_words(tmp_path):
    path = tmp_path / "outbox.db"
    opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute("update meta set value = '99' where key = 'schema'")
    with pytest.raises(SettingsError, match="update Trailwatch"):
        opened(path)


def test_a_message_that_lost_bits_on_the_disk_is_weeded_out_and_counted(tmp_path):
    outbox = opened(tmp_path / "outbox.db")
    put = outbox.put(batch(2), batch(3), batch(4))
    outbox.close()
    with sqlite3.connect(tmp_path / "outbox.db") as db:
        db.execute("update queue set data = zeroblob(length(data)) where sequence = ?", (put[1][1],))
        db.execute("update queue set data = (select data from queue where sequence = ?) where sequence = ?",
                   (put[0][1], put[2][1]))
    outbox = opened(tmp_path / "outbox.db")
    assert outbox.weed(put) == 2
    assert [p.identity for p in outbox.pending(9)] == [put[0]]
    assert outbox.ledger.detections_refused == 7
    assert outbox.refusals() == {"damaged on the node's disk": 2}
    assert outbox.weed(put) == 0


# -------------------------------------------------------------------------------------------------------------- wear


def test_acknowledgements_cost_no_commit_of_their_own_and_states_no_flush(tmp_path):
    clock = SteppedClock()
    outbox = opened(tmp_path / "outbox.db", clock)
    for _ in range(50):
        outbox.put(batch())
        outbox.acknowledge([p.identity for p in outbox.pending(10)])
        clock.advance(0.1)
    assert (outbox.wear.commits, outbox.wear.flushes) == (50, 50)
    assert outbox.depth == 0
    for _ in range(50):
        outbox.put(health())
        outbox.acknowledge([p.identity for p in outbox.pending(10)])
        clock.advance(0.1)
    assert (outbox.wear.commits, outbox.wear.flushes) == (100, 50)


def test_the_last_acknowledgement_is_on_the_disk_after_a_second(tmp_path):
    clock = SteppedClock()
    outbox = opened(tmp_path / "outbox.db", clock)
    outbox.acknowledge(outbox.put(batch()))
    with sqlite3.connect(tmp_path / "outbox.db") as reader:
        outbox.tend()
        assert reader.execute("select count(*) from queue").fetchone() == (1,)
        clock.advance(1.1)
        outbox.tend()
        assert reader.execute("select count(*) from queue").fetchone() == (0,)
        assert reader.execute("select messages_acknowledged from ledger").fetchone() == (1,)


# ------------------------------------------------------------------------------------------------- when the date is wrong


def test_steps_of_the_date_change_no_order_and_lose_nothing(tmp_path):
    path = tmp_path / "outbox.db"
    hour, year = 3600.0, 365 * 86400.0
    clock = SteppedClock()
    outbox, put = opened(path, clock), []
    for step_s in (0, hour, -2 * hour, 30 * year, -50 * year, 20 * year, -hour):
        clock.step_utc(step_s)
        put += outbox.put(*[batch()] * 3)
        assert [p.identity for p in outbox.pending(99)] == put[-3:] + put[:-3], "of this start, then of those before"
        outbox.close()
        outbox = opened(path, clock)        # it was switched off in between, and its clock has no battery
        clock.advance(0.5)
    assert [p.identity for p in outbox.pending(99)] == put
    assert put == sorted(put)
    assert outbox.acknowledge(put) == len(put)
    assert adds_up(outbox)


def test_when_full_the_oldest_go_in_the_order_in_which_they_were_put_whatever_the_date(tmp_path):
    clock = SteppedClock()
    clock.step_utc(-40 * 365 * 86400.0)
    outbox = opened(tmp_path / "outbox.db", clock, limit_bytes=10_000)
    put = [outbox.put(Snapshot("cam", 1, clock.utc_ns(), b"\xff\xd8" + b"x" * 900, Box(0, 0, 1, 1)))[0] for _ in range(5)]
    clock.step_utc(60 * 365 * 86400.0)
    put += [outbox.put(Snapshot("cam", 1, clock.utc_ns(), b"\xff\xd8" + b"x" * 900, Box(0, 0, 1, 1)))[0] for _ in range(9)]
    left = [p.identity for p in outbox.pending(99)]
    assert left == put[-len(left):] and len(left) < len(put)
    assert outbox.ledger.messages_dropped == len(put) - len(left)
