"""What the simulated aircraft reports of itself wanders about the truth as far as its settings say, and no more."""

import random

import numpy as np
import pytest

from sim.multirotor import Battery, Multirotor, MultirotorLimits, Wind


def aircraft(seed=1, **errors):
    return Multirotor(
        MultirotorLimits(), Wind(3.0, 240.0, 0.8), Battery(5200.0, 4), 0.6, random.Random(seed), on_ground=False, up_m=30.0,
        **errors,
    )


def flown(body, seconds):
    """Errors of what it reports, (n, 6): east, north, up in metres, roll, pitch, yaw in degrees."""
    errors = []
    for i in range(int(seconds / 0.1)):
        body.step(0.1, (2.0, 0.0, 0.0), None, motors=True)
        if i % 100 == 0:
            east, north = body.reported()
            roll, pitch, yaw = body.reported_attitude_deg()
            errors.append([
                east - body.east_m, north - body.north_m, body.reported_up_m() - body.up_m,
                roll - body.roll_deg, pitch - body.pitch_deg, yaw - body.yaw_deg,
            ])
    return np.array(errors)


def test_each_report_wanders_by_its_own_sigma():
    errors = flown(aircraft(height_noise_m=0.5, lean_noise_deg=0.3, yaw_noise_deg=1.0), 20_000)
    assert errors.std(axis=0) == pytest.approx([0.6, 0.6, 0.5, 0.3, 0.3, 1.0], rel=0.15)
    assert errors.mean(axis=0) == pytest.approx(np.zeros(6), abs=0.15)


def test_what_is_not_asked_for_is_reported_as_it_is_and_changes_no_flight():
    plain, other = aircraft(), aircraft()
    assert (flown(plain, 60)[:, 2:] == 0.0).all()
    flown(other, 60)
    assert (plain.east_m, plain.north_m) == (other.east_m, other.north_m)
