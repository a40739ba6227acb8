"""The settings files of an exercise with processes: the picture is of the kind that the exercise says its camera is."""

import pytest

from edge.settings import NodeSettings
from sim.camera_settings import SimulatedCameraSettings
from sim.director_stage import set_the_exercise
from sim.exercise_scenario import load_exercise
from sim.exercise_suite import FOLDER
from sim.landscape_cache import cached_landscape
from wire.clock import WallClock
from wire.optics import SensorKind
from wire.settings import load_settings


@pytest.mark.parametrize(("condition", "kind", "palette"), [
    ("night-thermal", SensorKind.THERMAL, "thermal"), ("night", SensorKind.LOW_LIGHT, "auto"),
])
def test_a_camera_shows_what_its_kind_sees(tmp_path, condition, kind, palette):
    exercise = load_exercise(FOLDER / f"{condition}.toml")
    folder = tmp_path / "run"
    set_the_exercise(folder, exercise, cached_landscape(exercise.scenario), tmp_path / "none.pt", WallClock())
    assert load_settings(folder / "camera-1.toml", NodeSettings).camera.kind is kind
    assert load_settings(folder / "camera-1-view.toml", SimulatedCameraSettings).palette == palette
