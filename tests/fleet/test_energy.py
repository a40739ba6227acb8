"""The energy model: what it believes before a flight, what flights teach it, and whether its error is an honest one."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.energy import EnergyLearner, EnergyModel, Work, level, percent_of, work_left
from sim.multirotor import Battery, Multirotor, MultirotorLimits, Wind

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

works = st.builds(Work, st.floats(1.0, 1500.0), st.floats(0.0, 1e6), st.floats(0.0, 300.0))


def flown(body: Multirotor, plan: list[tuple[float, float, float]], learner: EnergyLearner | None, at_s: float) -> Work:
    """Fly seconds at a speed over ground and a rate of climb; what it asked for. The gauge shows whole percents."""
    work = Work()
    before = body.up_m
    for seconds, speed, climb in plan:
        for i in range(round(seconds / 0.1)):
            body.step(0.1, (speed, 0.0, climb), None, motors=True)
            at_s += 0.1
            if i % 2 == 0:
                east, north = body.wind.velocity()
                airspeed = float(np.hypot(body.velocity_east_m_s - east, body.velocity_north_m_s - north))
                work += Work(0.2, 0.2 * airspeed**3, max(0.0, body.up_m - before))
                before = body.up_m
                if learner is not None:
                    learner.see(at_s, float(int(100.0 * body.battery.remaining())), body.up_m, airspeed)
    return work


def aircraft(chance: random.Random) -> Multirotor:
    """One whose motors, drag and battery nobody has measured."""
    limits = MultirotorLimits(hover_power_w=chance.uniform(250.0, 390.0), drag_w_per_m3_s3=chance.uniform(0.02, 0.07))
    wind = Wind(chance.uniform(0.0, 5.0), 90.0, 0.5)
    return Multirotor(limits, wind, Battery(5200.0, 4), 0.0, chance, up_m=30.0, on_ground=False)


@pytest.mark.slow
def test_two_sigma_hold_nineteen_times_in_twenty_or_nearly() -> None:
    """Forty unknown aircraft: some minutes of flight teach, and the next minutes are foretold, before and after."""
    inside, narrower = 0, 0
    for seed in range(40):
        chance = random.Random(seed)
        body = aircraft(chance)
        first = EnergyModel.of_endurance(chance.uniform(900.0, 1100.0))
        learner = EnergyLearner(first)
        flown(body, [(60.0, 8.0, 0.0), (60.0, 3.0, 0.5), (60.0, 9.0, 0.0), (60.0, 0.0, -0.4)], learner, 0.0)
        charge = 100.0 * body.battery.remaining()
        work = flown(body, [(60.0, 5.0, 0.3), (90.0, 9.0, 0.0)], None, 0.0)
        taken = charge - 100.0 * body.battery.remaining()
        need, before = learner.model.need(work, charge), first.need(work, charge)
        assert learner.model.lessons >= 4
        narrower += need.sigma_percent < 0.6 * before.sigma_percent
        inside += abs(taken - need.percent) <= 2.0 * need.sigma_percent
    assert inside >= 36, f"{inside} of 40 lie within two sigma"
    assert narrower == 40


@given(work=works, more=works, charge=st.floats(20.0, 100.0))
def test_more_work_takes_more_and_more_surely(work: Work, more: Work, charge: float) -> None:
    model = EnergyModel.of_endurance(1200.0)
    less, both = model.need(work, charge), model.need(work + more, charge)
    assert both.percent >= less.percent and both.sigma_percent >= less.sigma_percent - 1e-9


@given(st.floats(0.0, 100.0))
def test_percents_and_work_are_two_ways_to_say_one_thing(percent: float) -> None:
    assert percent_of(work_left(percent)) == pytest.approx(percent, abs=1e-6)


@given(st.lists(st.tuples(works, st.floats(0.5, 30.0)), min_size=1, max_size=20))
def test_no_lesson_makes_it_less_sure_or_nonsense(lessons: list[tuple[Work, float]]) -> None:
    model = EnergyModel.of_endurance(1200.0)
    for work, taken in lessons:
        after = model.learned(work, 80.0, 80.0 - taken)
        assert np.isfinite(after.mean).all() and (after.mean >= 0).all()
        assert np.linalg.eigvalsh(after.covariance)[0] >= -1e-12
        # Joseph's form: along the lesson's own direction nothing is less sure than before.
        x = work.vector
        before, off = float(x @ model.covariance @ x), abs(work_left(80.0) - work_left(80.0 - taken) - float(model.mean @ x))
        assert x @ after.covariance @ x <= before + 1e-9 or off > 3.0 * before**0.5, "unless the lesson contradicts"
        model = after


def test_what_was_learned_outlives_the_process_and_nonsense_does_not(tmp_path: Path) -> None:
    model = EnergyModel.of_endurance(1000.0).learned(level(100.0, 5.0), 90.0, 78.0)
    file = tmp_path / "drone-1-a1b2.json"
    model.save(file)
    again = EnergyModel.load(file)
    assert again is not None and again.lessons == 1 and np.allclose(again.mean, model.mean)
    broken = ("", "{}", '{"mean": [0, 0, 0], "covariance": [], "lessons": 1}', '{"mean":[1],"covariance":[[1]],"lessons":0}')
    for text in broken:
        file.write_text(text)
        assert EnergyModel.load(file) is None
    assert EnergyModel.load(tmp_path / "nothing.json") is None


def test_a_claim_that_is_wrong_by_far_is_unlearned_within_one_flight() -> None:
    """A battery for seven minutes whose settings say twenty: four lessons of 4 %, by a gauge of whole percents."""
    model = EnergyModel.of_endurance(1200.0)
    for k in range(4):
        model = model.learned(level(17.0, 3.0), 96.0 - 4.0 * k, 92.0 - 4.0 * k)
    need, true = model.need(level(100.0, 3.0), 80.0), EnergyModel.of_endurance(425.0).need(level(100.0, 3.0), 80.0)
    assert need.percent == pytest.approx(true.percent, rel=0.1)
    assert abs(need.percent - true.percent) < 2.0 * need.sigma_percent


def test_a_silence_or_another_battery_teaches_nothing() -> None:
    learner = EnergyLearner(EnergyModel.of_endurance(1000.0))
    for at_s, percent in ((0.0, 90.0), (1.0, 90.0), (60.0, 60.0), (61.0, 95.0), (62.0, 95.0)):
        learner.see(at_s, percent, 30.0, 5.0)
    assert not learner.taught


def test_an_empty_battery_is_asked_for_more_than_it_has() -> None:
    need = EnergyModel.of_endurance(600.0).need(level(600.0, 8.0), 50.0)
    assert need.percent > 50.0


@pytest.mark.parametrize("folder, drone", [("demo", "drone-1.toml"), ("demo/shift", "drone.toml")])
def test_the_demos_drones_fly_as_long_as_their_fleet_file_says(folder: str, drone: str) -> None:
    """Hovering, from full to empty, on the battery that the autopilot's own settings give it."""
    flown = tomllib.loads((CONFIGS / folder / drone).read_text(encoding="utf-8"))["battery"]
    battery = Battery(flown["capacity_mah"], flown["cells"])
    calm = Wind(0.0, 0.0, 0.0)
    body = Multirotor(MultirotorLimits(), calm, battery, 0.0, random.Random(1), up_m=30.0, on_ground=False)
    steps = 0
    while battery.remaining() > 0.0:
        body.step(0.1, (0.0, 0.0, 0.0), None, motors=True)
        steps += 1
    drones = tomllib.loads((CONFIGS / folder / "fleet.toml").read_text(encoding="utf-8"))["drones"]
    said = [d["endurance_s"] for d in drones]
    assert said == pytest.approx([steps * 0.1] * len(said), rel=0.02)
