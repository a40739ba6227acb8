"""The plan that a pilot's page fills in by itself can be flown in the demo's shift: its own files, the real planner."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from fleet.checker import CheckLimits
from fleet.energy import EnergyModel
from fleet.offers import Ground, draw
from fleet.offers_fit import draw_to_fit
from fleet.settings import Fleet, load
from fleet.standing import Habit, Standing
from mavlink.ardupilot import Identity
from sim import autopilot
from sim.autopilot_stage import Stage
from sim.shift_stage import set_the_shift
from wire.tasking import FleetOrder, FlightKind, FlightWish
from wire.units import GroundPosition, Realm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shift as `demo --shift` sets it up, its landscape included."""
    folder = tmp_path_factory.mktemp("shift") / "stage"
    set_the_shift(folder, usual_port=False)
    return folder


def default_wish(fleet: Fleet, home: tuple[float, float]) -> FlightWish:
    """As station/static/pilot_draft.js fills in the form: all of the corridor that is nearest to the drone."""
    here = fleet.sector.frame.point(GroundPosition(*home))

    def away_m(name: str) -> float:
        corners = np.asarray(fleet.sector.corridors.ground(name).centre_line.coords)
        return float(np.linalg.norm(corners - here, axis=1).min())

    nearest = min((c.id for c in fleet.sector.corridor_set.corridors), key=away_m)
    return FlightWish(FlightKind.CORRIDOR, corridor=nearest)


@pytest.mark.parametrize("charge_percent", [96.0, 80.0, 70.0])
def test_the_default_plan_of_every_drone_of_the_shift_passes(folder: Path, charge_percent: float) -> None:
    fleet = load(folder / "fleet.toml")
    too_long = 0
    for d in fleet.settings.drones:
        limits = CheckLimits(
            d.endurance_s, wind=fleet.wind, airspeed_m_s=d.airspeed_m_s, charge_percent=charge_percent,
            energy=EnergyModel.of_endurance(d.endurance_s),
        )
        one = Standing(
            d.id, GroundPosition(*d.home), Identity(1, "a1", "4.7.0", simulated=True), limits, None, Habit(), None, False,
            None, 0.0, charge_percent, d.battery_least_percent, d.battery_return_percent,
        )
        wanted = (default_wish(fleet, d.home), {d.id: one}, d.id, Ground(fleet.sector, Realm.TRAINING, 1), "plan-1")
        too_long += not draw(*wanted).check.passed
        drawn, fitting = draw_to_fit(*wanted)
        assert drawn.check.passed, (d.id, fitting, drawn.check.findings)
        assert drawn.check.length_m > 200.0, "what is left of it is worth a flight"
    assert too_long, "with none that is too long nothing is tested here"


def test_the_default_plan_of_the_shift_takes_off(folder: Path, tmp_path: Path) -> None:
    fleet = load(folder / "fleet.toml")
    drone = fleet.settings.drones[0]
    own = autopilot.load(folder / f"{drone.id}.toml")
    model = msgspec.structs.replace(own, ports=[0, 0], parameters={**own.parameters, "FS_GCS_TIMEOUT": 60.0})

    async def play(s: Stage) -> None:
        wish = default_wish(fleet, drone.home)
        planned = await s.ordered(FleetOrder("plan", "plan", "Lan", drone.id, wish, fit=True))
        offer = s.offer("plan")
        assert planned.done and offer is not None, planned
        assert offer.asked == wish and offer.wish.reach_m > 0.0, "it is told what became of what was asked for"
        flown = await s.ordered(FleetOrder("go", "launch", "Lan", plan_id=offer.plan_id))
        assert flown.done, flown

    settings = {"endurance_s": drone.endurance_s}
    Stage(fleet.sector, tmp_path, {drone.id: model}, wind=fleet.wind, settings=settings).run(play)
