"""Signatures: what is forged, replayed or unsigned is not believed, and a clock that jumps back locks nobody out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.signing import (
    EPOCH_2015_S,
    NEW_STREAM_BEHIND,
    RESERVED,
    UNITS_PER_S,
    Signer,
    SigningKeyError,
    SigningTime,
    is_signed,
    make_key,
    read_key,
)
from wire.clock import NS_PER_S, SteppedClock

KEY = bytes(range(1, 33))
TEXT = mavlink.MAVLink_statustext_message(6, b"hello")
UTC_S = 1_700_000_000


def a_signer(key: bytes = KEY, *, utc_s: float = UTC_S, file: Path | None = None) -> tuple[Signer, SteppedClock]:
    clock = SteppedClock(round(utc_s * NS_PER_S))
    return Signer(key, SigningTime(clock, file)), clock


def packer(system_id: int = 255) -> Any:
    return mavlink.MAVLink(None, system_id, 1)


def time_of(frame: bytes) -> int:
    return int.from_bytes(frame[-12:-6], "little")


def test_pymavlink_s_own_check_takes_what_we_sign_and_we_take_what_it_signs() -> None:
    ours, _ = a_signer()
    theirs = packer(1)
    theirs.signing.secret_key = KEY
    frame = ours.pack(TEXT, packer(), 3)
    assert is_signed(frame) and frame[-13] == 3
    assert [m.text for m in theirs.parse_buffer(frame)] == ["hello"]
    assert theirs.signing.goodsig_count == 1
    theirs.signing.sign_outgoing, theirs.signing.timestamp = True, time_of(frame)
    back = TEXT.pack(theirs)
    assert ours.verify(back, 1, 1) and ours.counts.good == 1


def test_a_changed_byte_another_key_and_a_second_time_are_refused_and_counted() -> None:
    drone, _ = a_signer()
    station, _ = a_signer()
    frame = drone.pack(TEXT, packer(1), 0)
    for at in (4, 12, len(frame) - 8, len(frame) - 1):
        spoilt = bytearray(frame)
        spoilt[at] ^= 1
        assert not station.verify(bytes(spoilt), 1, 1)
    stranger, _ = a_signer(bytes(32 * [7]))
    assert not station.verify(stranger.pack(TEXT, packer(1), 0), 1, 1)
    assert station.verify(frame, 1, 1)
    assert not station.verify(frame, 1, 1), "replayed"
    assert (station.counts.forged, station.counts.replayed, station.counts.good) == (5, 1, 1)


def test_a_forged_message_with_a_far_time_shuts_the_true_sender_not_out() -> None:
    drone, _ = a_signer()
    station, _ = a_signer()
    assert station.verify(drone.pack(TEXT, packer(1), 0), 1, 1)
    far = bytearray(drone.pack(TEXT, packer(1), 0))
    far[-12:-6] = (2**47).to_bytes(6, "little")
    assert not station.verify(bytes(far), 1, 1)
    assert station.verify(drone.pack(TEXT, packer(1), 0), 1, 1)


def test_a_recording_of_yesterday_is_refused_after_a_restart(tmp_path: Path) -> None:
    drone, _ = a_signer(utc_s=UTC_S - 86_400)
    old = drone.pack(TEXT, packer(1), 0)
    station, _ = a_signer(file=tmp_path / "time")
    station.pack(TEXT, packer(), 0)
    assert not station.verify(old, 1, 1) and station.counts.replayed == 1


@pytest.mark.parametrize("clock_moved_s", [0.0, 2.0, 59.0, -1e8, 1e6])
def test_nothing_that_was_accepted_before_a_kill_is_accepted_after_it(tmp_path: Path, clock_moved_s: float) -> None:
    """No file is closed and nothing is told to anybody at the end: the second station knows what is on the disk."""
    drone, drone_clock = a_signer()
    station, clock = a_signer(file=tmp_path / "time")
    accepted = []
    for step in range(40):
        frame = drone.pack(TEXT, packer(1), step % 3)
        assert station.verify(frame, 1, 1)
        accepted.append(frame)
        for each in (drone_clock, clock):
            each.advance(1.7)
    again, _ = a_signer(utc_s=UTC_S + 40 * 1.7 + clock_moved_s, file=tmp_path / "time")
    assert not any(again.verify(frame, 1, 1) for frame in accepted)
    assert again.counts.replayed == len(accepted)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["say", "say", "hear", "kill"]), st.integers(0, 2), st.floats(0.0, 90.0)),
        min_size=5, max_size=40,
    ),
    jumps=st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=40),
)
def test_no_frame_is_accepted_twice_whenever_the_station_is_killed_and_whatever_its_clock_does(
    steps: list[tuple[str, int, float]], jumps: list[float], tmp_path_factory: Any
) -> None:
    file = tmp_path_factory.mktemp("signing") / "time"
    drone, drone_clock = a_signer()
    station, clock = a_signer(file=file)
    said: list[bytes] = []
    accepted: set[bytes] = set()
    for (what, link_id, wait_s), jump_s in zip(steps, jumps, strict=False):
        if what == "say":
            said.append(drone.pack(TEXT, packer(1), link_id))
        elif what == "hear":
            drone.verify(station.pack(TEXT, packer(), link_id), 255, 1)
        else:
            station, clock = a_signer(utc_s=max(1.0, UTC_S + jump_s), file=file)
        for frame in said:
            if station.verify(frame, 1, 1):
                assert frame not in accepted
                accepted.add(frame)
        clock.advance(wait_s)
        drone_clock.advance(wait_s)


def test_a_drone_whose_time_is_behind_the_file_is_heard_after_it_has_heard_us(tmp_path: Path) -> None:
    drone, _ = a_signer()
    before, _ = a_signer(file=tmp_path / "time")
    assert before.verify(drone.pack(TEXT, packer(1), 0), 1, 1)
    after, _ = a_signer(file=tmp_path / "time")
    assert not after.verify(drone.pack(TEXT, packer(1), 0), 1, 1), "new, and not to be told from a replay"
    assert drone.verify(after.pack(TEXT, packer(), 0), 255, 1)
    assert after.verify(drone.pack(TEXT, packer(1), 0), 1, 1)


@settings(max_examples=15, deadline=None)
@given(
    starts=st.lists(st.tuples(st.floats(-5e8, 5e8), st.integers(1, 50), st.floats(0.0, 100.0)), min_size=1, max_size=6),
)
def test_times_never_go_back_whatever_the_clock_does(starts: list[tuple[float, int, float]], tmp_path_factory: Any) -> None:
    """Each start is a power cut: no more is known than what was on the disk, and the clock may be anywhere."""
    file = tmp_path_factory.mktemp("signing") / "time"
    last = 0
    for jump_s, count, between_s in starts:
        signer, clock = a_signer(utc_s=max(1.0, UTC_S + jump_s), file=file)
        mav = packer()
        for _ in range(count):
            at = time_of(signer.pack(TEXT, mav, 0))
            assert at > last
            last = at
            clock.advance(between_s)


def test_after_a_power_cut_with_a_clock_of_1970_the_drone_still_listens(tmp_path: Path) -> None:
    drone, _ = a_signer()
    before, _ = a_signer(file=tmp_path / "time")
    assert drone.verify(before.pack(TEXT, packer(), 0), 255, 1)
    after, _ = a_signer(utc_s=100.0, file=tmp_path / "time")
    assert drone.verify(after.pack(TEXT, packer(), 0), 255, 1)
    without, _ = a_signer(utc_s=100.0)
    assert not drone.verify(without.pack(TEXT, packer(), 0), 255, 1), "without the file it would be locked out"


def test_a_drone_that_is_ahead_pulls_our_time_up() -> None:
    drone, _ = a_signer(utc_s=UTC_S + 1e6)
    station, _ = a_signer()
    assert not drone.verify(station.pack(TEXT, packer(), 0), 255, 1)
    assert station.verify(drone.pack(TEXT, packer(1), 0), 1, 1)
    assert drone.verify(station.pack(TEXT, packer(), 0), 255, 1)


def test_two_links_are_two_streams_and_each_may_lag() -> None:
    """What the fast link brought does not make the slow one's messages old."""
    drone, _ = a_signer()
    station, _ = a_signer()
    slow = drone.pack(TEXT, packer(1), 1)
    assert station.verify(drone.pack(TEXT, packer(1), 0), 1, 1)
    assert station.verify(slow, 1, 1)


def test_the_file_is_ahead_of_every_time_that_was_used(tmp_path: Path) -> None:
    file = tmp_path / "time"
    signer, clock = a_signer(file=file)
    for _ in range(20):
        used = time_of(signer.pack(TEXT, packer(), 0))
        assert used < int(file.read_text()) <= used + RESERVED
        clock.advance(17.0)
    assert used > (UTC_S - EPOCH_2015_S) * UNITS_PER_S
    assert NEW_STREAM_BEHIND == 60 * UNITS_PER_S
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_file_is_its_owner_s_alone_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "keys/drone-1.key"
    make_key(file)
    assert file.stat().st_mode & 0o777 == 0o600 and len(read_key(file)) == 32
    with pytest.raises(FileExistsError):
        make_key(file)
    file.chmod(0o640)
    with pytest.raises(SigningKeyError, match="others may read this key"):
        read_key(file)


@pytest.mark.parametrize("text", ["", "abc", "00" * 32, "zz" * 32, "ab" * 31])
def test_a_key_that_is_none_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "k"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(SigningKeyError, match="64 hex digits") as caught:
        read_key(file)
    assert not text or text not in str(caught.value)
    with pytest.raises(SigningKeyError, match="cannot be read"):
        read_key(tmp_path / "none")


def test_a_spoilt_time_file_is_said_and_not_begun_again_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "time").write_text("x")
    with pytest.raises(SigningKeyError, match="cannot be read"):
        a_signer(file=tmp_path / "time")


def test_a_disk_that_takes_nothing_costs_the_file_and_not_the_signatures(tmp_path: Path) -> None:
    blocked = tmp_path / "folder"
    blocked.write_text("a file where the folder should be")
    signer, clock = a_signer(file=blocked / "time")
    last = 0
    for _ in range(5):
        at = time_of(signer.pack(TEXT, packer(), 0))
        assert at > last
        last = at
        clock.advance(2.0)
    blocked.unlink()
    signer.pack(TEXT, packer(), 0)
    assert int((tmp_path / "folder/time").read_text()) > last, "tried again, and kept"
