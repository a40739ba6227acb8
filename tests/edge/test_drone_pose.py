"""A frame between two telemetry samples is placed as if the drone had been asked at that very moment."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as ardupilot
from pymavlink.dialects.v20 import common as mavlink
from scipy.spatial.transform import Rotation

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import NoPose, Pose, PoseSigma
from cameras.project import project
from cameras.turn import Turn
from edge.autopilot_clock import HEARD_SIGMA_S, Exchange
from edge.drone_messages import PoseReader
from edge.drone_pose import AttitudeSample, DronePose, DronePoseLimits, GimbalSample, PositionSample
from edge.geolocate import geolocate
from geofences.geodesy import LocalFrame
from geofences.terrain import FlatTerrain

FRAME = LocalFrame(16.62, 106.6)
GROUND = FlatTerrain(165.0, 0.5, synthetic=True)
BEGIN_NS = 1_800_000_000_000_000_000
LENS = Lens(1280, 720, 900, 900, 640, 360)
CAMERA = Camera(LENS, 1.0, 100.0, 500.0)
PERFECT = DronePoseLimits(sigma=PoseSigma(0, 0, 0, 0, 0), time_sigma_s=0.0)


def wxyz(rotation):
    x, y, z, w = rotation.as_quat()
    return (w, x, y, z)


class Flight:
    """Known at any moment: a circle of 60 m at 9 m/s, 60 m up, banked, the nose along the circle, through north and back.

    The gimbal looks 40 degrees down and swings +-15 degrees to the side of the nose.
    """

    radius, speed, height = 60.0, 9.0, 60.0

    def position(self, t):
        a = self.speed / self.radius * t
        return np.array([self.radius * math.sin(a), self.radius * math.cos(a) - 100.0, 165 + self.height + math.sin(t)])

    def velocity(self, t):
        a = self.speed / self.radius * t
        return np.array([self.speed * math.cos(a), -self.speed * math.sin(a), math.cos(t)])

    def heading_deg(self, t):
        east, north, _ = self.velocity(t)
        return math.degrees(math.atan2(east, north))

    def airframe(self, t):
        return Rotation.from_euler("ZYX", [self.heading_deg(t), -6 + 2 * math.sin(t), 8 * math.sin(0.7 * t)], degrees=True)

    def gimbal_yaw_deg(self, t):
        return 15 * math.sin(0.8 * t)

    def look(self, t):
        return Pose(*self.position(t), self.heading_deg(t) + self.gimbal_yaw_deg(t), -40 + 5 * math.sin(0.5 * t))

    def samples(self, until, earth_frame, attitude_hz=20, gimbal_hz=10, position_hz=5):
        for t in np.arange(0, until, 1 / attitude_hz):
            yield AttitudeSample(at(t), wxyz(self.airframe(t)))
        for t in np.arange(0.013, until, 1 / gimbal_hz):
            look = self.look(t)
            yaw = look.yaw_deg if earth_frame else self.gimbal_yaw_deg(t)
            yield GimbalSample(at(t), wxyz(Rotation.from_euler("ZYX", [yaw, look.pitch_deg, 0], degrees=True)), earth_frame)
        for t in np.arange(0.031, until, 1 / position_hz):
            east, north, height = self.position(t)
            ground = FRAME.position(east, north)
            yield PositionSample(at(t), ground.lat_deg, ground.lon_deg, height, *self.velocity(t))


def at(t):
    return BEGIN_NS + round(t * 1e9)




@pytest.mark.parametrize("earth_frame", [True, False])
def test_a_target_seen_from_a_turning_drone_between_samples_is_found_within_a_metre(earth_frame):
    flight = Flight()
    poses = DronePose(FRAME, PERFECT)
    for s in sorted(flight.samples(45.0, earth_frame), key=lambda s: s.at_ns):
        poses.add(s)
    errors = []
    for t in np.arange(26.0, 44.0, 0.137):          # its own 20 s memory, frame times beside every sample time
        truth = flight.look(t)
        forward = truth.rotation()[:, 2]
        target = truth.position + forward * (truth.height_msl_m - 165.0) / -forward[2] + [6.0, -4.0, 0.0]
        pixel = project([target], truth, LENS)
        assert LENS.holds(pixel)[0]
        estimate = poses.pose_at(at(t))
        assert not isinstance(estimate, NoPose), estimate.reason
        found = geolocate(pixel, CAMERA, estimate, GROUND).position_enu_m[0]
        errors.append(float(np.hypot(*(found - target[:2]))))
    assert max(errors) < 1.0
    assert np.median(errors) < 0.2


def test_taking_the_nearest_sample_instead_would_miss_by_metres():
    """What interpolation is for: the same flight, frames tagged with the last sample before them."""
    flight, worst = Flight(), 0.0
    for t in np.arange(26.1, 40.0, 0.137):
        truth, stale = flight.look(t), flight.look(t - 0.15)
        ground = truth.position + truth.rotation()[:, 2] * 60.0 / -truth.rotation()[2, 2]
        found = geolocate(project([ground], truth, LENS), CAMERA, _estimate(stale), GROUND).position_enu_m[0]
        worst = max(worst, float(np.hypot(*(found - ground[:2]))))
    assert worst > 2.0


def _estimate(pose):
    from cameras.pose import PoseEstimate

    return PoseEstimate(pose, PoseSigma(0, 0, 0, 0, 0))


def test_samples_may_come_in_any_order_and_a_change_of_the_gimbals_frame_does_not_jump():
    flight = Flight()
    poses = DronePose(FRAME, PERFECT)
    mixed = [s for s in flight.samples(10.0, True) if not isinstance(s, GimbalSample) or s.at_ns < at(5.0)]
    mixed += [s for s in flight.samples(10.0, False) if isinstance(s, GimbalSample) and s.at_ns >= at(5.0)]
    np.random.default_rng(3).shuffle(mixed)
    for s in mixed:
        poses.add(s)
    for t in np.arange(4.8, 5.2, 0.01):
        estimate = poses.pose_at(at(t))
        assert abs((estimate.pose.yaw_deg - flight.look(t).yaw_deg + 180) % 360 - 180) < 0.5


@given(st.floats(-0.5, 0.5))
def test_yaw_is_interpolated_the_short_way_across_north(offset):
    poses = DronePose(FRAME, PERFECT)
    for i, yaw in enumerate([358.0, 2.0]):
        poses.add(GimbalSample(at(i * 0.2), wxyz(Rotation.from_euler("ZYX", [yaw, -30, 0], degrees=True)), True))
        poses.add(PositionSample(at(i * 0.2), 16.62, 106.6, 225.0, 0, 0, 0))
    estimate = poses.pose_at(at(0.1 + offset * 0.2))
    expected = 4.0 * offset
    assert (estimate.pose.yaw_deg - expected + 180) % 360 - 180 == pytest.approx(0.0, abs=0.05)
    assert estimate.rates.yaw_deg_s == pytest.approx(20.0, abs=0.5)


def test_a_camera_fixed_to_the_airframe_takes_its_attitude():
    flight = Flight()
    poses = DronePose(FRAME, PERFECT, mount=Turn.by_degrees(0.0, -30.0, 0.0))
    for s in flight.samples(5.0, True):
        if not isinstance(s, GimbalSample):
            poses.add(s)
    estimate = poses.pose_at(at(3.01))
    expected = (flight.airframe(3.01) * Rotation.from_euler("Y", -30, degrees=True)).apply([1, 0, 0])
    np.testing.assert_allclose(estimate.pose.rotation()[:, 2], expected[[1, 0, 2]] * [1, 1, -1], atol=2e-3)


def test_the_sigma_grows_with_the_gap_that_is_bridged():
    flight = Flight()
    poses = {}
    for hz in (20, 2):
        poses[hz] = DronePose(FRAME, DronePoseLimits())
        for s in flight.samples(10.0, False, attitude_hz=hz, gimbal_hz=hz, position_hz=hz):
            poses[hz].add(s)
    fine, coarse = poses[20].pose_at(at(5.27)).sigma, poses[2].pose_at(at(5.27)).sigma
    assert fine.yaw_deg == pytest.approx(1.5, abs=0.05)
    assert coarse.yaw_deg > fine.yaw_deg + 0.3
    assert coarse.position_m > fine.position_m


def test_the_interpolation_error_lies_within_the_sigma_that_is_claimed_for_it():
    flight = Flight()
    poses = DronePose(FRAME, PERFECT)
    for s in flight.samples(20.0, False, attitude_hz=4, gimbal_hz=4, position_hz=2):
        poses.add(s)
    for t in np.arange(2.0, 19.0, 0.083):
        estimate, truth = poses.pose_at(at(t)), flight.look(t)
        assert abs((estimate.pose.yaw_deg - truth.yaw_deg + 180) % 360 - 180) <= estimate.sigma.yaw_deg + 0.05
        assert np.hypot(*(estimate.pose.position - truth.position)[:2]) <= estimate.sigma.position_m + 0.05


@pytest.mark.parametrize(
    ("t", "says"), [(10.5, "away from the frame"), (-1.0, "away from the frame"), (5.5, "a gap of")]
)
def test_no_pose_is_made_up_beyond_the_samples_or_across_a_gap(t, says):
    flight = Flight()
    poses = DronePose(FRAME, PERFECT)
    for s in flight.samples(10.0, True):
        if not (isinstance(s, PositionSample) and at(4.9) < s.at_ns < at(6.2)):
            poses.add(s)
    refused = poses.pose_at(at(t))
    assert isinstance(refused, NoPose) and says in refused.reason and "position" in refused.reason


def test_two_samples_of_one_burst_do_not_fling_the_drone_away():
    poses = DronePose(FRAME, DronePoseLimits(extrapolation_s=0.3))
    flight = Flight()
    for s in flight.samples(10.0, True):
        if not isinstance(s, PositionSample):
            poses.add(s)
    for t in (5.0, 5.001):              # the second is told 0.6 m off, as positions wander
        (east, north, height), (ve, vn, vu) = flight.position(t), flight.velocity(t)
        lat, lon = FRAME.from_enu(np.array([[east + 600 * (t - 5.0), north]]))[0]
        poses.add(PositionSample(at(t), float(lat), float(lon), float(height), float(ve), float(vn), float(vu)))
    for t in (4.75, 5.25):
        assert np.linalg.norm(poses.pose_at(at(t)).pose.position - flight.position(t)) < 2.0


def test_just_after_the_newest_sample_a_pose_is_still_given():
    poses = DronePose(FRAME, PERFECT)
    for s in Flight().samples(10.0, True):
        poses.add(s)
    assert not isinstance(poses.pose_at(at(9.89)), NoPose)


def test_with_nothing_heard_there_is_no_pose():
    refused = DronePose(FRAME).pose_at(at(0))
    assert isinstance(refused, NoPose) and "no position" in refused.reason


# ------------------------------------------------------------------------------------------------------ the adapter

NAN = float("nan")
LEVEL = (1.0, 0.0, 0.0, 0.0)


def gimbal(q=LEVEL, flags=64, ms=1000, failure=0, number=0):
    return mavlink.MAVLink_gimbal_device_attitude_status_message(
        0, 0, ms, flags, list(q), NAN, NAN, NAN, failure, NAN, NAN, number
    )


def gimbal_failing(failure):
    return gimbal(failure=failure)


def test_real_messages_become_samples():
    reader = PoseReader()
    attitude = reader.sample(mavlink.MAVLink_attitude_message(1000, 0.1, -0.2, 3.0, 0, 0, 0), at(1))
    assert attitude.at_ns == at(1)
    roll_pitch_yaw = Rotation.from_quat(np.roll(attitude.quaternion, -1)).as_euler("ZYX")[::-1]
    np.testing.assert_allclose(roll_pitch_yaw, [0.1, -0.2, 3.0])
    position = reader.sample(
        mavlink.MAVLink_global_position_int_message(1100, 166200000, 1066000000, 225000, 60000, 100, -200, 50, 0), at(1.1)
    )
    assert (position.lat_deg, position.height_msl_m) == (16.62, 225.0)
    assert (position.north_m_s, position.east_m_s, position.up_m_s) == (1.0, -2.0, -0.5)
    assert reader.sample(mavlink.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3), at(1)) is None
    assert reader.unusable == 0


def test_a_place_that_is_told_over_and_over_when_the_satellites_are_gone_is_none():
    """As an ArduCopter does from some 8 s after; before, its estimate is good without them."""
    reader = PoseReader()

    def place(second):
        told = mavlink.MAVLink_global_position_int_message(second * 1000, 166200000, 1066000000, 225000, 60000, 0, 0, 0, 0)
        return reader.sample(told, at(second))

    assert place(1) is not None, "an autopilot that tells nothing of its estimate is believed"
    for flags, known in ((0b0011_1111, True), (0b1010_0111, False), (0b0010_0111, False), (0b0011_1111, True)):
        assert reader.sample(ardupilot.MAVLink_ekf_status_report_message(flags, 0, 0, 0, 0, 0), at(2)) is None
        assert (place(3) is not None) is known, bin(flags)


@pytest.mark.parametrize(
    ("flags", "earth"), [(64, True), (32, False), (16, True), (0, False), (64 | 16, True), (32 | 16, False)]
)
def test_the_gimbals_flags_say_which_frame_it_speaks_in(flags, earth):
    assert PoseReader().sample(gimbal(flags=flags), at(1)).earth_frame is earth


@pytest.mark.parametrize(
    "message",
    [
        gimbal(q=(NAN, NAN, NAN, NAN)), gimbal(q=(0, 0, 0, 0)), gimbal(q=(3, 0, 0, 0)),
        mavlink.MAVLink_attitude_message(1000, NAN, 0, 0, 0, 0, 0),
        mavlink.MAVLink_global_position_int_message(1000, 0, 0, 225000, 60000, 0, 0, 0, 0),
        mavlink.MAVLink_global_position_int_message(1000, 2**31 - 1, 2**31 - 1, 225000, 60000, 0, 0, 0, 0),
        SimpleNamespace(get_type=lambda: "ATTITUDE"),
    ],
)
def test_values_that_say_unknown_are_counted_and_not_believed(message):
    reader = PoseReader()
    assert reader.sample(message, at(1)) is None
    assert reader.unusable == 1


@pytest.mark.parametrize("message", [gimbal(flags=64 | 32), gimbal_failing(8), gimbal_failing(64), gimbal_failing(256)])
def test_a_gimbal_that_contradicts_itself_or_is_unsure_is_not_believed(message):
    assert PoseReader().sample(message, at(1)) is None


def test_a_gimbal_at_its_limit_or_short_of_power_still_knows_where_it_points():
    assert PoseReader().sample(gimbal_failing(2 | 16), at(1)) is not None


def test_of_two_gimbals_the_first_is_the_cameras():
    reader = PoseReader()
    assert reader.sample(gimbal(number=1), at(1)) is not None
    assert reader.sample(gimbal(number=2), at(1)) is None
    assert reader.sample(gimbal(number=1), at(1)) is not None
    reader.begin_anew()
    assert reader.sample(gimbal(number=2), at(1)) is not None


def sent_by(component, message):
    """As it comes from the wire of that component."""
    sender = mavlink.MAVLink(None, srcSystem=1, srcComponent=component)
    return mavlink.MAVLink(None).parse_buffer(message.pack(sender))[0]


def test_a_gimbal_with_a_clock_of_its_own_does_not_upset_the_autopilots():
    """The gimbal was switched on an hour before the autopilot: their counts have nothing to do with each other."""
    reader = PoseReader()
    for i in range(20):
        t = 1.0 + 0.1 * i
        attitude = reader.sample(sent_by(1, mavlink.MAVLink_attitude_message(round(t * 1e3), 0, 0, 1.0, 0, 0, 0)), at(t))
        looks = reader.sample(sent_by(154, gimbal(ms=round((t + 3600.0) * 1e3))), at(t))
        assert abs(attitude.at_ns - at(t)) < 1e6 and abs(looks.at_ns - at(t)) < 1e6
    assert reader.clocks_set == 0


def test_a_gimbals_own_attitude_is_not_the_aircrafts():
    reader = PoseReader()
    assert reader.sample(sent_by(154, mavlink.MAVLink_attitude_message(1000, 0, -0.7, 1.0, 0, 0, 0)), at(1)) is None
    assert reader.unusable == 0


def test_an_answer_to_timesync_counts_for_the_clock_of_whoever_gave_it():
    reader = PoseReader()
    message = sent_by(154, mavlink.MAVLink_timesync_message(2_000_000_000, 5))
    reader.exchanged(message, Exchange(at(1.99), 2_000_000_000, at(2.01)))
    reader.sample(sent_by(154, gimbal(ms=3000)), at(3.1))
    assert reader.clock_sigma_s < HEARD_SIGMA_S
    reader.sample(sent_by(1, mavlink.MAVLink_attitude_message(1000, 0, 0, 1.0, 0, 0, 0)), at(3.1))
    assert reader.clock_sigma_s == HEARD_SIGMA_S


def mount(roll, pitch, yaw, from_north=0.0):
    return mavlink.MAVLink_mount_orientation_message(1000, roll, pitch, yaw, from_north)


def test_the_older_message_says_the_same_and_gives_way_to_the_newer():
    reader = PoseReader()
    sample = reader.sample(mount(1.0, -40.0, 15.0), at(1))
    assert sample.earth_frame is False
    angles = Rotation.from_quat(np.roll(sample.quaternion, -1)).as_euler("ZYX", degrees=True)
    np.testing.assert_allclose(angles, [15.0, -40.0, 1.0])
    assert reader.sample(mount(1.0, -40.0, NAN, 200.0), at(1)).earth_frame is True
    for unknown in (mount(NAN, -40.0, 15.0), mount(0.0, NAN, 15.0), mount(0.0, -40.0, NAN, NAN)):
        assert reader.sample(unknown, at(1)) is None
    reader.sample(gimbal(), at(1))
    assert reader.sample(mount(1.0, -40.0, 15.0), at(1)) is None


def test_a_gimbal_that_reports_nothing_leaves_no_pose():
    poses = DronePose(FRAME, PERFECT)
    for s in Flight().samples(5.0, True):
        if not isinstance(s, GimbalSample):
            poses.add(s)
    refused = poses.pose_at(at(3.0))
    assert isinstance(refused, NoPose) and "no gimbal attitude" in refused.reason


def test_what_was_forgotten_gives_no_pose():
    poses = DronePose(FRAME, PERFECT)
    for s in Flight().samples(5.0, True):
        poses.add(s)
    assert not isinstance(poses.pose_at(at(3.0)), NoPose)
    poses.forget()
    assert isinstance(poses.pose_at(at(3.0)), NoPose) and poses.told_until_ns() == 0
