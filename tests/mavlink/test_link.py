from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.link import ConnectionTextError, Link, link_state, parse_connection
from wire.clock import WallClock
from wire.flying import LinkState


class Peer:
    """A TCP server that speaks MAVLink: what it has heard, and a way to say things."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.connections = 0
        self.writer: asyncio.StreamWriter | None = None
        self.mav = mavlink.MAVLink(None, 1, 1)
        self._parser = mavlink.MAVLink(None)
        self._parser.robust_parsing = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writer = writer
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                self.heard += self._parser.parse_buffer(data) or []
        writer.close()

    def say(self, message: Any) -> None:
        assert self.writer is not None
        self.writer.write(message.pack(self.mav))


@contextlib.asynccontextmanager
async def peer_and_link(**settings: Any) -> AsyncIterator[tuple[Peer, Link, asyncio.Server]]:
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = Link(f"tcp:127.0.0.1:{port}", WallClock(), **settings)
    owner = asyncio.create_task(link.run())
    try:
        await eventually(lambda: link.connected and peer.writer is not None)
        yield peer, link, server
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        server.close()


async def eventually(holds: Any, timeout_s: float = 8.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


def heartbeats(peer: Peer) -> list[Any]:
    return [m for m in peer.heard if m.get_type() == "HEARTBEAT"]


TEXT = mavlink.MAVLink_statustext_message(6, b"hello")


def test_the_station_s_heartbeat_goes_out_at_its_rate_as_system_255() -> None:
    async def scenario() -> None:
        async with peer_and_link(heartbeat_s=0.1) as (peer, _, _):
            await asyncio.sleep(1.0)
            beats = heartbeats(peer)
            assert 8 <= len(beats) <= 12
            assert {m.get_srcSystem() for m in beats} == {255}
            assert {m.type for m in beats} == {mavlink.MAV_TYPE_GCS}

    asyncio.run(scenario())


def test_a_loop_that_hangs_sends_no_heartbeats() -> None:
    """The drone's own failsafe has to see the hang: a thread that went on beating would hide it."""

    async def scenario() -> None:
        received = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        received.bind(("127.0.0.1", 0))
        received.settimeout(0.01)
        link = Link(f"udpout:127.0.0.1:{received.getsockname()[1]}", WallClock(), heartbeat_s=0.05)
        owner = asyncio.create_task(link.run())
        await asyncio.sleep(0.3)

        def drain() -> int:
            count = 0
            with contextlib.suppress(TimeoutError):
                while received.recv(2048):
                    count += 1
            return count

        assert drain() >= 3
        time.sleep(0.6)     # the hang
        assert drain() == 0
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        received.close()

    asyncio.run(scenario())


def test_what_is_sent_before_asking_is_not_missed_and_types_are_kept_apart() -> None:
    async def scenario() -> None:
        async with peer_and_link() as (peer, link, _):
            with link.subscribe(("STATUSTEXT",)) as texts, link.subscribe(("COMMAND_ACK",), 1) as acks:
                peer.say(TEXT)
                peer.say(mavlink.MAVLink_command_ack_message(400, 0))
                ack = await acks.get(2.0)
                text = await texts.get(2.0)
                assert ack is not None and ack.command == 400
                assert text is not None and text.text.startswith("hello")
                assert await texts.get(0.05) is None
            with link.subscribe(("COMMAND_ACK",), 7) as others:
                peer.say(mavlink.MAVLink_command_ack_message(400, 0))
                assert await others.get(0.2) is None

    asyncio.run(scenario())


def test_a_slow_subscriber_loses_its_oldest_and_knows_how_many() -> None:
    async def scenario() -> None:
        async with peer_and_link() as (peer, link, _):
            with link.subscribe(("MISSION_CURRENT",), limit=10) as slow, link.subscribe(("MISSION_CURRENT",)) as quick:
                for seq in range(50):
                    peer.say(mavlink.MAVLink_mission_current_message(seq))
                got = [await quick.get(2.0) for _ in range(50)]
                assert [m.seq for m in got] == list(range(50))
                assert quick.lost == 0
                assert slow.lost == 40
                first = await slow.get(0.1)
                assert first is not None and first.seq == 40

    asyncio.run(scenario())


def test_noise_and_half_messages_are_counted_and_the_next_message_is_heard() -> None:
    async def scenario() -> None:
        async with peer_and_link() as (peer, link, _):
            assert peer.writer is not None
            with link.subscribe(("STATUSTEXT",)) as texts:
                peer.writer.write(os.urandom(4000))
                packed = TEXT.pack(peer.mav)
                peer.writer.write(packed[:12])
                peer.writer.write(b"\xfd\xff" + os.urandom(300))
                for _ in range(60):     # more than a false beginning at the end of the noise can swallow: 280 bytes
                    peer.say(TEXT)
                assert await texts.get(2.0) is not None
            assert link.counts.unreadable > 0

    asyncio.run(scenario())


def test_a_closed_tcp_link_comes_back_and_does_not_spin() -> None:
    async def scenario() -> None:
        async with peer_and_link(heartbeat_s=0.1) as (peer, link, server):
            assert peer.writer is not None
            peer.writer.close()
            await eventually(lambda: peer.connections == 2)
            await eventually(lambda: link.connected)
            server.close()
            assert peer.writer is not None
            peer.writer.close()
            await eventually(lambda: not link.connected)
            assert not link.send(TEXT)
            before_s = time.process_time()
            await asyncio.sleep(1.5)
            assert time.process_time() - before_s < 0.3
            assert "no connection" in link.problem or "closed" in link.problem

    asyncio.run(scenario())


def test_a_tcp_link_on_which_nothing_comes_is_opened_anew() -> None:
    """A peer that lost its power says nothing, not even that it is gone."""

    async def scenario() -> None:
        async with peer_and_link(heartbeat_s=0.1, silent_s=0.3) as (peer, _, _server):
            await eventually(lambda: peer.connections >= 2)

    asyncio.run(scenario())


def test_a_peer_that_reads_nothing_costs_messages_and_not_memory() -> None:
    async def scenario() -> None:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)
        link = Link(f"tcp:127.0.0.1:{deaf.getsockname()[1]}", WallClock())
        owner = asyncio.create_task(link.run())
        await eventually(lambda: link.connected)
        until_s = asyncio.get_running_loop().time() + 60.0
        while not link.counts.stalled and asyncio.get_running_loop().time() < until_s:
            for _ in range(500):
                link.send(TEXT)
            await asyncio.sleep(0)
        assert link.counts.stalled > 0
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        deaf.close()

    asyncio.run(scenario())


def test_udp_answers_whoever_spoke() -> None:
    async def scenario() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        link = Link(f"udpin:127.0.0.1:{port}", WallClock(), heartbeat_s=0.05)
        owner = asyncio.create_task(link.run())
        await eventually(lambda: link.connected)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as drone, link.subscribe(("STATUSTEXT",)) as texts:
            drone.setblocking(False)
            drone.sendto(TEXT.pack(mavlink.MAVLink(None, 9, 1)), ("127.0.0.1", port))
            text = await texts.get(2.0)
            assert text is not None and text.get_srcSystem() == 9
            await asyncio.sleep(0.2)
            assert mavlink.MAVLink(None).parse_buffer(drone.recv(2048))[0].get_type() == "HEARTBEAT"
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "text", ["", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:x", "tcp:127.0.0.1:0", "ftp:127.0.0.1:21", "5760"]
)
def test_a_connection_that_names_nothing_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConnectionTextError, match="give tcp:HOST:PORT"):
        parse_connection(text)


def test_a_link_is_late_after_three_and_a_half_seconds_and_lost_after_ten() -> None:
    assert [link_state(s) for s in (0.0, 3.4, 3.5, 9.9, 10.0, float("inf"))] == [
        LinkState.CONNECTED, LinkState.CONNECTED, LinkState.LATE, LinkState.LATE, LinkState.LOST, LinkState.LOST,
    ]
