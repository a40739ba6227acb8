"""A drone's node and its autopilot, a process of its own behind real MAVLink."""

import socket
import time

import pytest

from cameras.pose import NoPose, PoseSigma
from edge.autopilot_clock import HEARD_SIGMA_S
from edge.drone_link import DroneLink
from edge.drone_pose import DronePoseLimits
from edge.settings import load_setup
from geofences.sector import load_sector
from tests.fleet.conftest import HOME, ROOT, start_autopilot  # noqa: F401 -- a fixture
from wire.clock import WallClock
from wire.keys import NodeKind, make_node_key
from wire.settings import SettingsError
from wire.units import GroundPosition, Realm

LIMITS = DronePoseLimits(PoseSigma(2.1, 3.0, 1.5, 0.5, 0.5))
CLOCK = WallClock()


@pytest.fixture(scope="module")
def sector():
    return load_sector(ROOT / "configs/sectors/laobao/sector.toml")


def drone_link(autopilot, sector, realm=Realm.TRAINING, port=1):
    return DroneLink(autopilot.connection(port), 1, realm, sector.frame, LIMITS, None, CLOCK)


def wait_for(true, seconds=20.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := true():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def pose_now(link):
    found = link.pose_at(CLOCK.utc_ns())
    return None if isinstance(found, NoPose) else found.pose


def reason_now(link):
    found = link.pose_at(CLOCK.utc_ns())
    return found.reason if isinstance(found, NoPose) else ""


def test_the_camera_is_where_the_drone_stands_and_looks_where_its_gimbal_points(start_autopilot, sector):  # noqa: F811
    autopilot = start_autopilot(speedup=1.0, settle_s=2.0)
    with drone_link(autopilot, sector) as link:
        pose = wait_for(lambda: pose_now(link))
        east, north = sector.frame.point(GroundPosition(*HOME))
        assert (pose.east_m, pose.north_m) == pytest.approx((east, north), abs=5.0)
        assert pose.height_msl_m == pytest.approx(165.0, abs=5.0)
        assert -90.0 <= pose.pitch_deg <= 0.0


def test_a_frame_is_given_its_pose_though_the_telemetry_is_still_on_its_way(start_autopilot, sector):  # noqa: F811
    autopilot = start_autopilot(speedup=1.0, settle_s=2.0)
    with drone_link(autopilot, sector) as link:
        wait_for(lambda: pose_now(link))
        given = [not isinstance(link.pose_at(CLOCK.utc_ns()), NoPose) for _ in range(20)]
        assert sum(given) >= 18, given


def test_the_clocks_are_compared_and_what_is_left_goes_into_the_time_sigma(start_autopilot, sector):  # noqa: F811
    autopilot = start_autopilot(speedup=1.0, settle_s=2.0)
    with drone_link(autopilot, sector) as link:
        wait_for(lambda: pose_now(link))
        found = wait_for(lambda: (e := link.pose_at(CLOCK.utc_ns())) and not isinstance(e, NoPose)
                         and e.time_sigma_s < HEARD_SIGMA_S and e)
        assert LIMITS.time_sigma_s < found.time_sigma_s < 0.04


def test_a_live_node_takes_no_pose_from_a_simulated_drone(start_autopilot, sector):  # noqa: F811
    autopilot = start_autopilot(speedup=1.0, settle_s=1.0)
    with drone_link(autopilot, sector, Realm.LIVE) as link:
        assert "the autopilot is simulated" in wait_for(lambda: "simulated" in reason_now(link) and reason_now(link))


def test_an_autopilot_that_dies_leaves_no_pose_and_one_that_comes_back_gives_it_again(start_autopilot, sector):  # noqa: F811
    autopilot = start_autopilot(speedup=1.0, settle_s=1.0)
    with drone_link(autopilot, sector) as link:
        wait_for(lambda: pose_now(link))
        autopilot.process.kill()
        autopilot.process.wait()
        assert wait_for(lambda: reason_now(link))
        again = start_autopilot(speedup=1.0, settle_s=1.0, ports=autopilot.ports)
        assert again.ports == autopilot.ports
        assert wait_for(lambda: pose_now(link), 40.0)


def test_nothing_that_listens_is_said_in_words(sector):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with DroneLink(f"tcp:127.0.0.1:{port}", 1, Realm.TRAINING, sector.frame, LIMITS, None, CLOCK) as link:
        wait_for(lambda: "no connection" in reason_now(link))


DRONE = '\n[drone]\nconnection = "tcp:127.0.0.1:5762"\n'
SURVEY = ("position = ", "height_agl_m = ", "yaw_deg = 184", "pitch_deg = -21")


def drone_settings(settings, **changes):
    path = settings(key=make_node_key("drone-1-eye", NodeKind.DRONE, Realm.TRAINING))
    lines = [line for line in path.read_text().splitlines() if not line.startswith(changes.get("without", SURVEY))]
    path.write_text("\n".join(lines) + changes.get("drone", DRONE))
    return path


def test_a_drones_node_needs_no_survey(settings):
    setup = load_setup(drone_settings(settings))
    assert setup.survey is None
    assert setup.settings.drone.connection == "tcp:127.0.0.1:5762"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"drone": ""}, r"say in \[drone\] how its autopilot is reached"),
        ({"without": SURVEY[:3]}, "camera.pitch_deg.*leave this out"),
        ({"drone": DRONE.replace("tcp:", "ftp:")}, "drone.connection.*give tcp:HOST:PORT"),
        ({"drone": DRONE + "system_id = 300\n"}, "drone.system_id.*1 to 250"),
    ],
)
def test_what_a_drones_node_cannot_be_is_refused_in_words(settings, changes, says):
    with pytest.raises(SettingsError, match=says):
        load_setup(drone_settings(settings, **changes))


def test_a_fixed_camera_needs_its_survey_and_no_drone(settings):
    with pytest.raises(SettingsError, match="yaw_deg is missing"):
        load_setup(settings([("yaw_deg = 184.0", "# yaw_deg = 184.0")]))
    path = settings()
    path.write_text(path.read_text() + DRONE)
    with pytest.raises(SettingsError, match="fixed camera"):
        load_setup(path)
