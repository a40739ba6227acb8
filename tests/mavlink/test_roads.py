"""Several drones on a link, several links to a drone, a serial line, and lines that lose, delay and reorder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.link import Link
from mavlink.roads import Roads
from mavlink.signing import Signer, SigningTime
from wire.clock import NS_PER_S, SteppedClock, WallClock

TEXT = mavlink.MAVLink_statustext_message(6, b"hello")
RADIO = mavlink.MAVLink_radio_status_message(180, 170, 100, 40, 42, 0, 0)
RETURN = mavlink.MAVLink_command_long_message(1, 1, mavlink.MAV_CMD_NAV_RETURN_TO_LAUNCH, 0, 0, 0, 0, 0, 0, 0, 0)
KEYS = {1: bytes([1] * 32), 2: bytes([2] * 32)}


async def eventually(holds: Any, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Drone:
    """A drone on a UDP socket of its own: says what it is told to, and hears."""

    def __init__(self, system_id: int, station_port: int, signer: Signer | None = None) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.system_id, self._station = system_id, ("127.0.0.1", station_port)
        self._mav = mavlink.MAVLink(None, system_id, 1)
        self._signer = signer
        self._parser = mavlink.MAVLink(None)
        self._parser.robust_parsing = True

    def say(self, message: Any) -> None:
        frame = message.pack(self._mav) if self._signer is None else self._signer.pack(message, self._mav, 0)
        self._mav.seq = (self._mav.seq + 1) % 256
        self.sock.sendto(frame, self._station)

    def heard(self) -> list[Any]:
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found += self._parser.parse_buffer(self.sock.recv(4096)) or []
        return found


@contextlib.asynccontextmanager
async def running(*links: Link) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(link.run()) for link in links]
    try:
        await eventually(lambda: all(link.connected for link in links))
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def to(system_id: int) -> Any:
    return mavlink.MAVLink_command_long_message(system_id, 1, 400, 0, 1, 0, 0, 0, 0, 0, 0)


def test_two_drones_on_one_udp_port_get_each_their_own_and_both_the_heartbeat() -> None:
    async def scenario() -> None:
        port = free_udp_port()
        link = Link(f"udpin:127.0.0.1:{port}", WallClock(), heartbeat_s=0.1)
        one, two = Drone(1, port), Drone(2, port)
        async with running(link):
            with link.subscribe(("STATUSTEXT",), 1) as of_one, link.subscribe(("STATUSTEXT",), 2) as of_two:
                one.say(TEXT)
                two.say(TEXT)
                assert (await of_one.get(5.0)).get_srcSystem() == 1
                assert (await of_two.get(5.0)).get_srcSystem() == 2
                assert await of_one.get(0.05) is None
            link.send(to(1))
            link.send(to(2))
            await asyncio.sleep(0.5)
            for drone in (one, two):
                heard = drone.heard()
                assert [m.target_system for m in heard if m.get_type() == "COMMAND_LONG"] == [drone.system_id]
                assert any(m.get_type() == "HEARTBEAT" for m in heard)

    asyncio.run(scenario())


def test_each_drone_on_a_link_has_its_own_key_and_no_unsigned_word_is_believed() -> None:
    async def scenario() -> None:
        port = free_udp_port()
        signers = {i: Signer(key, SigningTime(WallClock(), None)) for i, key in KEYS.items()}
        theirs = {i: Signer(key, SigningTime(WallClock(), None)) for i, key in KEYS.items()}
        link = Link(f"udpin:127.0.0.1:{port}", WallClock(), heartbeat_s=0.1, signers=signers)
        drones = {i: Drone(i, port, theirs[i]) for i in KEYS}
        async with running(link):
            with link.subscribe(("STATUSTEXT",)) as texts:
                for drone in drones.values():
                    drone.say(TEXT)
                assert {(await texts.get(5.0)).get_srcSystem() for _ in KEYS} == {1, 2}
                Drone(1, port).say(TEXT)                    # unsigned
                Drone(2, port, theirs[1]).say(TEXT)         # with another drone's key
                assert await texts.get(0.3) is None
                await eventually(lambda: link.counts.rejected == 2)
                assert signers[1].counts.unsigned == 1 and signers[2].counts.forged == 1
            link.send(to(1))
            await asyncio.sleep(0.5)
            for i, drone in drones.items():
                good = [m for m in drone.heard() if theirs[i].verify(bytes(m.get_msgbuf()), 255, 190)]
                assert any(m.get_type() == "HEARTBEAT" for m in good)
                assert [m.get_type() for m in good].count("COMMAND_LONG") == (1 if i == 1 else 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("pretends", [1, 51], ids=["the drone's id", "the id of a radio"])
def test_unsigned_radio_figures_draw_no_command_to_their_sender_and_keep_no_silent_drone_fresh(pretends: int) -> None:
    async def scenario() -> None:
        port = free_udp_port()
        signer, theirs = (Signer(KEYS[1], SigningTime(WallClock(), None)) for _ in range(2))
        link = Link(f"udpin:127.0.0.1:{port}", WallClock(), heartbeat_s=0.1, signers={1: signer})
        drone, attacker = Drone(1, port, theirs), Drone(pretends, port)
        async with running(link):
            with link.subscribe(("RADIO_STATUS",)) as figures:
                attacker.say(RADIO)
                assert await figures.get(5.0) is not None, "its figures are read all the same"
                assert link.heard_age_s == link.heard_age_of_s(pretends) == float("inf")
                assert link.send(RETURN), "before the drone was heard, there is nowhere to send it"
                drone.say(TEXT)
                await eventually(lambda: link.heard_age_of_s(1) < 60.0)
                heard_s = time.monotonic()
                for _ in range(100):
                    attacker.say(RADIO)
                    assert await figures.get(5.0) is not None
                    assert link.send(RETURN)
                await asyncio.sleep(0.5)
                attacker.say(RADIO)
                assert await figures.get(5.0) is not None
                silent_s = time.monotonic() - heard_s
                assert link.heard_age_of_s(1) >= silent_s and link.heard_age_s >= silent_s
            assert [m.get_type() for m in drone.heard()].count("COMMAND_LONG") == 100
            assert attacker.heard() == []

    asyncio.run(scenario())


def test_a_drone_whose_signing_time_stood_still_is_sent_a_heartbeat_and_no_command_until_it_is_on_time() -> None:
    """ArduPilot's signing time stands still while it hears nothing: after a minute each of its messages comes too late."""

    async def scenario() -> None:
        port = free_udp_port()
        behind = SteppedClock(time.time_ns() - 300 * NS_PER_S)
        signer, theirs = Signer(KEYS[1], SigningTime(WallClock(), None)), Signer(KEYS[1], SigningTime(behind, None))
        link = Link(f"udpin:127.0.0.1:{port}", WallClock(), heartbeat_s=60.0, signers={1: signer})
        drone = Drone(1, port, theirs)
        async with running(link):
            link.send(to(1))
            for _ in range(20):
                drone.say(TEXT)
            await eventually(lambda: link.counts.rejected == 20)
            assert link.heard_age_of_s(1) == float("inf"), "nothing late is believed"
            link.send(to(1))
            heard = drone.heard()
            assert [m.get_type() for m in heard] == ["HEARTBEAT"], "one for twenty, and no command"
            assert theirs.verify(bytes(heard[0].get_msgbuf()), 255, 190)
            drone.say(TEXT)
            await eventually(lambda: link.heard_age_of_s(1) < 60.0)
            link.send(to(1))
            await asyncio.sleep(0.3)
            assert [m.get_type() for m in drone.heard()] == ["COMMAND_LONG"]

    asyncio.run(scenario())


def test_on_a_link_shared_with_a_drone_without_a_key_the_one_with_a_key_is_answered_where_it_signed() -> None:
    async def scenario() -> None:
        port = free_udp_port()
        signer, theirs = (Signer(KEYS[1], SigningTime(WallClock(), None)) for _ in range(2))
        link = Link(f"udpin:127.0.0.1:{port}", WallClock(), heartbeat_s=0.1, signers={1: signer}, open_too=True)
        keyed, keyless = Drone(1, port, theirs), Drone(2, port)
        async with running(link):
            keyless.say(TEXT)
            await eventually(lambda: link.heard_age_of_s(2) < 60.0)
            link.send(to(1))
            keyed.say(TEXT)
            await eventually(lambda: link.heard_age_of_s(1) < 60.0)
            link.send(to(1))
            link.send(to(2))
            await asyncio.sleep(0.3)
            for drone in (keyed, keyless):
                commands = [m.target_system for m in drone.heard() if m.get_type() == "COMMAND_LONG"]
                assert commands == [drone.system_id]

    asyncio.run(scenario())


def test_with_two_links_to_a_drone_the_first_is_used_and_the_second_when_it_falls_silent() -> None:
    async def scenario() -> None:
        ports = [free_udp_port(), free_udp_port()]
        links = [Link(f"udpin:127.0.0.1:{p}", WallClock(), heartbeat_s=0.1, link_id=i) for i, p in enumerate(ports)]
        roads = Roads(links, 1)
        fast, thin = (Drone(1, port) for port in ports)
        async with running(*links):
            assert roads.connected and roads.connections == 1, "one link after the other is one beginning"
            with roads.subscribe(("STATUSTEXT",), 1) as texts:
                thin.say(TEXT)
                assert await texts.get(5.0) is not None
                assert roads.best() is links[1], "heard there and not on the first"
                fast.say(TEXT)
                assert await texts.get(5.0) is not None
                assert roads.best() is links[0]
                assert roads.send(to(1))
                await asyncio.sleep(0.2)
                assert any(m.get_type() == "COMMAND_LONG" for m in fast.heard())
                assert not any(m.get_type() == "COMMAND_LONG" for m in thin.heard())
                for _ in range(40):
                    thin.say(TEXT)
                    await asyncio.sleep(0.1)
                assert roads.best() is links[1], "the first has been silent for 3.5 s"
                assert roads.send(to(1))
                await asyncio.sleep(0.2)
                heard = thin.heard()
            assert any(m.get_type() == "COMMAND_LONG" for m in heard)
            assert any(m.get_type() == "HEARTBEAT" for m in heard), "each link keeps its own heartbeat"

    asyncio.run(scenario())


def test_a_serial_line_carries_messages_both_ways_and_comes_back_after_it_was_pulled_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        master, slave = os.openpty()
        os.set_blocking(master, False)
        line = tmp_path / "ttyUSB0"
        line.symlink_to(os.ttyname(slave))
        link = Link(f"serial:{line}:57600", WallClock(), heartbeat_s=0.1)
        async with running(link):
            os.close(slave)
            with link.subscribe(("STATUSTEXT",)) as texts:
                noise = bytes(range(256))       # control characters, too, none of which a raw line may swallow
                os.write(master, noise + b"".join(TEXT.pack(mavlink.MAVLink(None, 9, 1)) for _ in range(30)))
                assert (await texts.get(5.0)).get_srcSystem() == 9
                await asyncio.sleep(0.3)
                parser = mavlink.MAVLink(None)
                parser.robust_parsing = True
                assert {m.get_type() for m in parser.parse_buffer(os.read(master, 4096))} == {"HEARTBEAT"}
                os.close(master)
                await eventually(lambda: not link.connected)
                master_2, slave_2 = os.openpty()
                line.unlink()
                line.symlink_to(os.ttyname(slave_2))
                await eventually(lambda: link.connected)
                while await texts.get(0.05) is not None:
                    pass
                os.write(master_2, TEXT.pack(mavlink.MAVLink(None, 9, 1)))
                assert await texts.get(5.0) is not None
                os.close(master_2)
                os.close(slave_2)

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["serial:/dev/ttyUSB0", "serial:/dev/ttyUSB0:12345", "serial::57600"])
def test_a_serial_line_that_cannot_be_is_refused(text: str) -> None:
    from mavlink.transports import ConnectionTextError, parse_connection

    with pytest.raises(ConnectionTextError, match="serial"):
        parse_connection(text)


def test_a_device_that_is_no_serial_line_is_a_problem_in_words_and_no_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "file").write_text("")
        link = Link(f"serial:{tmp_path / 'file'}:57600", WallClock())
        owner = asyncio.create_task(link.run())
        await eventually(lambda: "no serial line" in link.problem)
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)

    asyncio.run(scenario())


def test_datagrams_that_come_late_twice_or_in_another_order_are_each_a_message_and_none_is_made_up() -> None:
    async def scenario() -> None:
        port = free_udp_port()
        link = Link(f"udpin:127.0.0.1:{port}", WallClock())
        async with running(link):
            chance = random.Random(4)
            mav = mavlink.MAVLink(None, 1, 1)
            frames = [bytes(mavlink.MAVLink_mission_current_message(seq).pack(mav)) for seq in range(300)]
            order = sorted(range(300), key=lambda i: i + chance.uniform(0, 20))
            order = [i for i in order if chance.random() > 0.2] + order[:30]
            drone = Drone(1, port)
            with link.subscribe(("MISSION_CURRENT",), 1, limit=1000) as heard:
                for i in order:
                    drone.sock.sendto(frames[i], ("127.0.0.1", port))
                got = [(await heard.get(5.0)).seq for _ in order]
                assert got == order and heard.lost == 0 and link.counts.unreadable == 0

    asyncio.run(scenario())


def test_half_a_datagram_of_one_drone_spoils_nothing_of_another() -> None:
    async def scenario() -> None:
        port = free_udp_port()
        link = Link(f"udpin:127.0.0.1:{port}", WallClock())
        async with running(link):
            one, two = Drone(1, port), Drone(2, port)
            half = bytes(TEXT.pack(mavlink.MAVLink(None, 1, 1)))[:9]
            with link.subscribe(("STATUSTEXT",), 2) as texts:
                for _ in range(20):
                    one.sock.sendto(half, ("127.0.0.1", port))
                    two.say(TEXT)
                    assert await texts.get(5.0) is not None

    asyncio.run(scenario())
