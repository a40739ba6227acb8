"""Messages are found again after anything that is none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.framing import messages_in

TEXT = mavlink.MAVLink_statustext_message(6, b"hello")
HEARTBEAT = mavlink.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)


def parser() -> mavlink.MAVLink:
    made = mavlink.MAVLink(None)
    made.robust_parsing = True
    return made


def packed(message: mavlink.MAVLink_message, count: int) -> bytes:
    speaker = mavlink.MAVLink(None, 1, 1)
    out = b""
    for _ in range(count):
        out += bytes(message.pack(speaker))
        speaker.seq = (speaker.seq + 1) % 256
    return out


def heard(data: bytes, sizes: list[int]) -> list[str]:
    reader, names, at, k = parser(), [], 0, 0
    while at < len(data):
        size = sizes[k % len(sizes)]
        names += [m.get_type() for m in messages_in(reader, data[at:at + size])]
        at, k = at + size, k + 1
    return names


@given(st.binary(max_size=600), st.sampled_from([TEXT, HEARTBEAT]), st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_after_noise_messages_are_heard_again(noise: bytes, message: mavlink.MAVLink_message, sizes: list[int]) -> None:
    names = heard(noise + packed(message, 60), sizes)
    # A false beginning at the end of the noise can promise 280 bytes, and its own end may look like another once more.
    assert names.count(message.get_type()) >= 20


@pytest.mark.parametrize("lost", range(1, 18))
def test_a_row_of_texts_is_read_rightly_whichever_byte_it_is_first_heard_from(lost: int) -> None:
    """The marker is the message id of a STATUSTEXT, too: read from there, every one of them begins wrongly."""
    assert heard(packed(TEXT, 30)[lost:], [4096]).count("STATUSTEXT") == 29


def test_noise_of_every_seed_leaves_the_texts_behind_it() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        data = chance.randbytes(4000) + packed(TEXT, 1)[:12] + b"\xfd\xff" + chance.randbytes(300) + packed(TEXT, 60)
        assert "STATUSTEXT" in heard(data, [chance.choice([12, 302, 1000, 65_536]) for _ in range(5)]), seed


def test_nothing_is_lost_or_doubled_where_there_is_no_noise() -> None:
    data = b"".join(a + b for a, b in zip(*[iter([packed(TEXT, 1), packed(HEARTBEAT, 1)] * 25)] * 2, strict=True))
    assert heard(data, [7]) == ["STATUSTEXT", "HEARTBEAT"] * 25


def test_a_message_of_a_newer_dialect_is_one_unreadable_message_and_no_more() -> None:
    newer = bytearray(packed(HEARTBEAT, 1))
    newer[7:10] = (1_000_000).to_bytes(3, "little")
    names = heard(bytes(newer) + packed(HEARTBEAT, 2), [4096])
    assert names[1:] == ["HEARTBEAT", "HEARTBEAT"] and len(names) == 3
