"""Whatever gpsd does, asking it ends in time, with a fix, or with words about why there is none."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gpsd_link import ERROR_UNKNOWN_M, Fix, GpsdError, GpsdLink, NoFix, read_poll
from tests.gpsd_stage import FalseDaemon, Gpsd, Receiver, require, wait_until
from wire.clock import WallClock

HERE = (16.620915, 106.593924)
VERSION = b'{"class":"VERSION","release":"3.25","rev":"3.25","proto_major":3,"proto_minor":15}\n'


def tpv(**changes):
    report = {"class": "TPV", "mode": 3, "time": "2026-11-25T01:27:02.000Z", "lat": HERE[0], "lon": HERE[1]}
    report |= {"epx": 4.0, "epy": 6.0}
    return {k: v for k, v in (report | changes).items() if v is not None}


def heard(connection, words=b"?POLL"):
    """Wait until it was asked."""
    said = b""
    while words not in said:
        said += connection.recv(1000) or words


def poll(*reports, **changes):
    return {"class": "POLL", "active": 1, "tpv": list(reports), "sky": [{"class": "SKY"}]} | changes


@pytest.fixture
def daemon():
    running = []

    def begin(serve):
        running.append(FalseDaemon(serve))
        return running[-1]

    yield begin
    for it in running:
        it.stop()


# ------------------------------------------------------------------------------------------------- what a POLL says


def test_a_fix_comes_with_its_place_its_error_and_its_time():
    assert read_poll(poll(tpv())) == Fix(*HERE, 6.0, 1_795_570_022_000_000_000)


@pytest.mark.parametrize(("packet", "says"), [
    (poll(), "said nothing yet"),
    (poll(tpv(), active=0), "no GNSS receiver is connected"),
    (poll({"class": "TPV", "mode": 1}), "no fix"),
    (poll({"class": "TPV", "mode": 0}), "no fix"),
    (poll(tpv(lat=None)), "without a place"),
    (poll(tpv(lon=None)), "without a place"),
    (poll(tpv(time=None)), "without a place or a time"),
    (poll(tpv(lat=95.0)), "not on the Earth"),
    (poll(tpv(lat=float("nan"))), "not on the Earth"),
    (poll(tpv(lat="north")), "makes no sense"),
    (poll(tpv(time="yesterday")), "makes no sense"),
    (poll(tpv(), sky=[{"satellites": [{"PRN": 3}]}]), "makes no sense"),
    (poll(tpv(), sky=7), "makes no sense"),
    ({}, "no GNSS receiver"),
    (poll(tpv(), tpv="x"), "said nothing yet"),
])
def test_what_is_no_fix_is_told_in_words_and_never_nought_degrees(packet, says):
    said = read_poll(packet)
    assert isinstance(said, NoFix) and says in said.reason


@pytest.mark.parametrize("sky", [[], [{}], None])
def test_a_receiver_that_lists_no_satellites_still_has_its_fix(sky):
    assert isinstance(read_poll(poll(tpv(), sky=sky)), Fix)


@pytest.mark.parametrize(("report", "error_m"), [
    (tpv(epx=None), ERROR_UNKNOWN_M), (tpv(epx=None, eph=19.0), 19.0), (tpv(epx=0.0, epy=0.0), ERROR_UNKNOWN_M),
    (tpv(epx=None, eph=float("inf")), ERROR_UNKNOWN_M),
])
def test_an_error_that_is_not_stated_is_large_and_never_nought(report, error_m):
    assert read_poll(poll(report)).error_m == error_m


def test_of_two_receivers_the_one_with_a_fix_is_heard():
    lost = {"class": "TPV", "mode": 1, "time": "2026-11-25T01:28:00.000Z"}
    assert isinstance(read_poll(poll(tpv(), lost)), Fix)
    later = tpv(lat=17.0, time="2026-11-25T01:27:03Z")
    assert read_poll(poll(later, tpv())).lat_deg == 17.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["class", "active", "tpv", "sky", "mode", "lat", "lon", "time", "epx", "epy", "satellites", "used"]),
        inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["active", "tpv", "sky", "class"]), JSON) | st.builds(
    lambda report, sky: poll(report, sky=sky), st.dictionaries(st.sampled_from(list(tpv())), JSON), JSON))
def test_no_packet_raises(packet):
    assert isinstance(read_poll(packet), Fix | NoFix)


# ----------------------------------------------------------------------------------------------------- the real daemon


def test_the_real_gpsd_gives_the_receivers_fix_and_its_loss():
    require()
    receiver = Receiver(HERE)
    gpsd = Gpsd(receiver).begin()
    link = GpsdLink("127.0.0.1", gpsd.port, WallClock())
    try:
        wait_until(lambda: isinstance(link.poll(), Fix), "no fix came")
        fix = link.poll()
        assert (fix.lat_deg, fix.lon_deg) == pytest.approx(HERE, abs=1e-6)
        assert 1.0 <= fix.error_m <= ERROR_UNKNOWN_M
        assert abs(time.time_ns() - fix.measured_ns) < 5e9
        receiver.place = None
        wait_until(lambda: isinstance(link.poll(), NoFix), "the loss is not seen")
        assert "no fix" in link.poll().reason
    finally:
        link.close()
        gpsd.kill()
        receiver.stop()


def test_the_real_gpsd_without_a_receiver_is_no_fix():
    require()
    gpsd = Gpsd().begin()
    link = GpsdLink("127.0.0.1", gpsd.port, WallClock())
    try:
        assert isinstance(link.poll(), NoFix)
        gpsd.kill()
        with pytest.raises(GpsdError, match=r"has gone|has closed"):
            for _ in range(3):
                link.poll()
    finally:
        link.close()
        gpsd.kill()


# -------------------------------------------------------------------------------------------- daemons that misbehave


def test_a_port_where_nobody_listens_is_said():
    with pytest.raises(GpsdError, match=r"gpsd at 127\.0\.0\.1:9 is not reached"):
        GpsdLink("127.0.0.1", 9, WallClock())


def test_a_daemon_that_accepts_and_says_nothing_does_not_hold_us(daemon, monkeypatch):
    monkeypatch.setattr("edge.gpsd_link.ANSWER_S", 0.3)
    with pytest.raises(GpsdError, match="accepts and then says nothing"):
        GpsdLink("127.0.0.1", daemon(lambda c: None).port, WallClock())


def test_a_daemon_that_drips_bytes_does_not_hold_us(daemon, monkeypatch):
    monkeypatch.setattr("edge.gpsd_link.ANSWER_S", 0.5)

    def drip(connection):
        while True:
            connection.sendall(b" ")
            time.sleep(0.1)

    with pytest.raises(GpsdError, match="says nothing"):
        GpsdLink("127.0.0.1", daemon(drip).port, WallClock())


@pytest.mark.parametrize(("answer", "says"), [
    (b'{"class":"POLL","active":1,"tp', "in the middle of a line"),
    (b"", "has closed the connection$"),
    (b"\xff\xfe garbage\n", "not JSON"),
    (b"[" * 5000 + b"\n", "not JSON"),
    (b"[1, 2]\n", "no object"),
    (b'{"class":"ERROR","message":"Unrecognized request"}\n', "refuses: Unrecognized request"),
    (b"x" * 200_000, "without end"),
])
def test_a_daemon_that_dies_or_raves_is_an_error_in_words(daemon, answer, says):
    def serve(connection):
        connection.sendall(VERSION)
        heard(connection)
        connection.sendall(answer)
        connection.shutdown(2)

    link = GpsdLink("127.0.0.1", daemon(serve).port, WallClock())
    with pytest.raises(GpsdError, match=says):
        link.poll()
    link.close()


def test_what_gpsd_says_unasked_is_passed_over(daemon):
    def serve(connection):
        connection.sendall(VERSION + b'{"class":"DEVICES","devices":[]}\n')
        heard(connection)
        connection.sendall(b'{"class":"WATCH","enable":true}\n{"class":"DEVICE","path":"/dev/ttyACM0"}\n')
        connection.sendall(json.dumps(poll(tpv())).encode() + b"\n")
        connection.recv(1000)

    link = GpsdLink("127.0.0.1", daemon(serve).port, WallClock())
    assert isinstance(link.poll(), Fix)
    link.close()


def test_another_server_is_not_taken_for_gpsd(daemon):
    served = daemon(lambda c: c.sendall(b'{"class":"VERSION","proto_major":2}\n'))
    with pytest.raises(GpsdError, match="protocol 3"):
        GpsdLink("127.0.0.1", served.port, WallClock())
