"""A node tells the lens of the pictures as they come, and where it looked when they were taken."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from cameras.pose import Pose, PoseEstimate, PoseRates, PoseSigma
from edge.optics import optics_of
from edge.settings import load_setup
from station.coverage_sight import lens_of, pose_of
from wire.messages import SensorReport, SensorState
from wire.optics import SensorKind
from wire.units import HeightMsl, Position

SIGMA = PoseSigma(0.1, 0.1, 0.1, 0.1, 0.1)


def test_the_station_gets_back_the_very_lens_and_pose(settings) -> None:
    setup = load_setup(settings())
    small = replace(setup.camera, lens=setup.camera.lens.scaled(160, 120))
    optics = optics_of(small, setup.survey, setup.settings.camera)
    assert lens_of(optics) == small.lens
    pose = setup.survey.pose
    lat, lon = setup.sector.frame.from_enu([[pose.east_m, pose.north_m]])[0]
    found = pose_of(optics, Position(lat, lon, HeightMsl(pose.height_msl_m)), setup.sector)
    assert found.yaw_deg == pytest.approx(pose.yaw_deg, abs=1e-3) and found.pitch_deg == pose.pitch_deg
    assert (found.east_m, found.north_m) == pytest.approx((pose.east_m, pose.north_m), abs=0.01)
    assert optics.kind is SensorKind.DAY and optics.turning_deg_s == 0.0


def test_a_turn_about_the_vertical_moves_what_a_steep_camera_sees_the_less(settings) -> None:
    setup = load_setup(settings())

    def turning(pitch_deg: float) -> float:
        pose = Pose(0, 0, 200, 10, pitch_deg)
        estimate = PoseEstimate(pose, SIGMA, PoseRates(yaw_deg_s=20.0))
        return optics_of(setup.camera, estimate, setup.settings.camera).turning_deg_s

    assert turning(0.0) == 20.0
    assert turning(-60.0) == pytest.approx(10.0, abs=0.01)


def test_a_report_with_optics_is_understood_by_who_does_not_know_of_them(settings) -> None:
    class OldReport(msgspec.Struct, tag="sensor"):
        sensor: str
        detail: str = ""

    setup = load_setup(settings())
    optics = optics_of(setup.camera, setup.survey, setup.settings.camera)
    report = SensorReport("a", 1, Position(1, 2, HeightMsl(3)), (), SensorState.SEEING, 1, False, "fine", optics)
    data = msgspec.msgpack.encode(report)
    assert msgspec.msgpack.decode(data, type=OldReport).detail == "fine"
    assert msgspec.msgpack.decode(data, type=SensorReport) == report
    assert len(msgspec.msgpack.encode(optics)) < 180
