"""The radio of a shift's drone: what is sent while it is cut is lost both ways, and neither end is told."""

import socket

import pytest

from sim.shift_radio import Radio


@pytest.fixture
def ends():
    """The client's and the drone's end, and the radio between them."""
    with socket.create_server(("127.0.0.1", 0)) as drone:
        drone.settimeout(5.0)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        radio = Radio(port, drone.getsockname()[1]).start()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
                there, _ = drone.accept()
                there.settimeout(5.0)
                with there:
                    yield client, there, radio
        finally:
            radio.stop()


def test_what_is_sent_while_it_is_cut_is_lost_and_the_connection_stays(ends):
    client, drone, radio = ends
    client.sendall(b"before")
    assert drone.recv(100) == b"before"
    radio.cut()
    client.sendall(b"lost on the way up")
    drone.sendall(b"lost on the way down")
    for end in (client, drone):
        end.settimeout(0.6)
        with pytest.raises(TimeoutError):
            end.recv(100)
        end.settimeout(5.0)
    assert radio.is_cut and radio.lost_bytes == len(b"lost on the way up") + len(b"lost on the way down")
    radio.mend()
    drone.sendall(b"after")
    client.sendall(b"and after")
    assert client.recv(100) == b"after" and drone.recv(100) == b"and after"


def test_a_client_that_leaves_is_seen_at_the_drone_and_another_may_come(ends):
    client, drone, _ = ends
    client.close()
    assert drone.recv(100) == b""
