"""What the screen shows of a contact: where it was seen while it is seen, where it is thought to be once it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geofences.sector import load_sector
from station.kalman import Estimate
from station.picture import ContactState
from station.views import LIVE_NS, contact_view
from tests.station.stored import NOW_NS, a_contact
from wire.clock import NS_PER_S

SECTOR = load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


def a_walker(ended: bool = False):
    contact = a_contact(1, [], ended=ended)
    contact.estimate = Estimate(np.array([100.0, 50.0, 1.2, -0.5]), np.diag([4.0, 4.0, 0.1, 0.1]), NOW_NS)
    return contact


def test_it_is_live_for_three_seconds_and_stands_where_it_was_seen():
    walker = a_walker()
    now, later = (contact_view(walker, SECTOR, NOW_NS + after_ns) for after_ns in (0, LIVE_NS - 1))
    assert now.state is later.state is ContactState.LIVE
    assert now.position == later.position and now.covariance == later.covariance


def test_then_it_coasts_along_its_velocity_and_its_ellipse_grows():
    walker = a_walker()
    seen, coasted = (contact_view(walker, SECTOR, NOW_NS + after_ns) for after_ns in (0, 10 * NS_PER_S))
    assert contact_view(walker, SECTOR, NOW_NS + LIVE_NS).state is coasted.state is ContactState.COASTING
    moved = np.subtract(SECTOR.frame.point(coasted.position), SECTOR.frame.point(seen.position))
    assert moved == pytest.approx((12.0, -5.0), abs=0.1)
    assert coasted.covariance.ee_m2 > seen.covariance.ee_m2 and coasted.last_seen_ns == seen.last_seen_ns


def test_one_that_has_ended_moves_no_more():
    walker = a_walker(ended=True)
    soon, late = (contact_view(walker, SECTOR, NOW_NS + after_ns) for after_ns in (0, 60 * NS_PER_S))
    assert soon.state is late.state is ContactState.ENDED and soon.position == late.position
