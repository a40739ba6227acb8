"""The library in lockstep: each exercise runs to its end and is scored, the same seed the same way bit for bit."""

import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sim.exercise_debrief import debrief, read_earlier, report, summary, write_csv
from sim.exercise_debrief_pdf import debrief_pdf
from sim.exercise_log import NO_END, ended_early, read_log
from sim.exercise_run import LockstepRun
from sim.exercise_scenario import LIBRARY, library, load_exercise
from sim.landscape_cache import cached_landscape
from sim.score import PersonScore, measures, score_run
from sim.truth_sight import Sight
from wire.settings import SettingsError
from wire.units import Realm

pytestmark = pytest.mark.together(90)

ROOT = Path(__file__).parents[2]

# How long each is run in this test: to the point where what it is about has happened.
SECONDS = {
    "boat-by-night": 150.0, "brokers-pickup": 220.0, "cattle-and-farmers": 120.0, "decoy": 200.0, "drone-loss": 270.0,
    "flood": 180.0, "lost-child": 330.0, "motorbike-run": 200.0, "outbound-victims": 170.0, "party-night-rain": 180.0,
    "river-fog": 230.0, "sabotage": 740.0, "single-walker": 120.0,
}


@pytest.fixture(scope="module")
def ground():
    exercise = load_exercise(LIBRARY / "single-walker.toml")
    landscape = cached_landscape(exercise.scenario)
    return landscape, Sight(landscape)


def for_so_long(exercise, seconds):
    about = msgspec.structs.replace(exercise.settings.exercise, seconds=seconds)
    return dataclasses.replace(exercise, settings=msgspec.structs.replace(exercise.settings, exercise=about))


def run(exercise, folder, ground, **more):
    return LockstepRun(exercise, folder, landscape=ground[0], sight=ground[1], **more).run()


@pytest.mark.slow
@pytest.mark.parametrize("path", library(), ids=lambda p: p.stem)
def test_every_exercise_of_the_library_runs_and_is_scored(path, tmp_path, ground):
    exercise = for_so_long(load_exercise(path), SECONDS[path.stem])
    files = run(exercise, tmp_path / "run", ground)
    log = list(read_log(files.log))
    assert log[0]["what"] == "began" and log[-1]["what"] == "ended"
    due = {i.id for i in exercise.settings.injects if i.at_s is not None and i.at_s <= exercise.seconds}
    assert due <= {e["id"] for e in log if e["what"] == "inject"}
    score = score_run(files.folder, exercise, *ground)
    if exercise.settings.exercise.nothing_to_find:
        assert score.truth.crossings == 0
    with sqlite3.connect(files.mind) as mind:
        assert mind.execute("select value from meta where key = 'realm'").fetchone()[0] == Realm.TRAINING.value
    assert score.truth.positions > 0        # somebody was seen, whoever it was
    if path.stem == "sabotage":
        assert score.load.technical >= 1    # a covered camera is an alarm
        assert score.truth.crossings_never_in_sight >= 1


@pytest.mark.slow
def test_the_same_seed_gives_the_same_score_bit_for_bit_and_another_one_another(tmp_path, ground):
    exercise = for_so_long(load_exercise(LIBRARY / "single-walker.toml"), 90.0)
    first, again, other = (
        score_run(run(exercise, tmp_path / name, ground, seed=seed).folder, exercise, *ground)
        for name, seed in (("first", 5), ("again", 5), ("other", 6))
    )
    assert msgspec.json.encode(first) == msgspec.json.encode(again)
    assert first.truth.positions > 10
    assert msgspec.json.encode(first.truth) != msgspec.json.encode(other.truth)


@pytest.mark.slow
def test_a_debrief_tells_what_happened_and_goes_onto_paper(tmp_path, ground):
    # A file of its own, so that the run finds it again.
    text = (LIBRARY / "single-walker.toml").read_text(encoding="utf-8").replace('"../', f'"{LIBRARY.parent}/')
    text = text.replace("seconds = 600.0", "seconds = 120.0").replace("enters_s = 260.0", "enters_s = 60.0")
    file = tmp_path / "single-walker.toml"
    file.write_text(text, encoding="utf-8")
    exercise = load_exercise(file)
    for name in ("before", "now"):
        run(exercise, tmp_path / name, ground, answers=name == "now")
    found = debrief(tmp_path / "now", [read_earlier(tmp_path / "before")])
    kinds = {m.kind for m in found.moments}
    assert "best_catch" in kinds
    assert {t.track for t in found.timeline} >= {"truth", "alarm", "person", "direction"}
    assert [t.at_s for t in found.timeline] == sorted(t.at_s for t in found.timeline)
    assert next(c for c in found.compared if c.measure == "pd").before == (measures(found.score)["pd"],)
    assert "single walker" in summary(found) and "What mattered" in report(found)
    for path in write_csv(found, tmp_path / "csv"):
        assert len(path.read_text(encoding="utf-8").splitlines()) >= 1
    assert len((tmp_path / "csv/crossings.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(found.score.crossings)
    for language, title in (("vi", "Một người đi lẻ ban ngày"), ("en", "A single walker by day")):
        pdf = debrief_pdf(found, language)
        assert pdf.startswith(b"%PDF") and len(pdf) > 10_000
        assert title.encode() in pdf or title.encode("utf-16-be").hex().encode() in pdf
    # Nobody answered before: the debrief says so.
    assert "unanswered" in {m.kind for m in debrief(tmp_path / "before").moments}
    # What came up while the trainer's word was waited for is before the exercise, and is not counted.
    log = tmp_path / "before" / "exercise.jsonl"
    began = next(e["starts_ns"] for e in read_log(log) if e["what"] == "began")
    log.write_text(log.read_text(encoding="utf-8").replace(str(began), str(began + 10**13)), encoding="utf-8")
    waited = debrief(tmp_path / "before").score
    assert waited.load.alarms == 0 and waited.truth.false_alarms == 0 and not [c for c in waited.crossings if c.alarm]
    # The file has changed since: the run keeps the exercise as it was run, and is scored against that.
    file.write_text("what somebody made of it since", encoding="utf-8")
    assert debrief(tmp_path / "now").score == found.score


def test_right_reasons_are_judged_where_nobody_crosses_as_well(tmp_path, ground):
    exercise = for_so_long(load_exercise(LIBRARY / "cattle-and-farmers.toml"), 20.0)
    score = score_run(run(exercise, tmp_path / "run", ground).folder, exercise, *ground)
    assert score.crossings == () and measures(score)["right_reason_share"] is None
    people = PersonScore("lan", 7, 20.0, 0, 0, 7, 5, 2, 0, 0)
    assert measures(msgspec.structs.replace(score, together=people))["right_reason_share"] == pytest.approx(5 / 7)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="holds no run of an exercise"):
        debrief(tmp_path)


def test_a_log_that_a_crash_cut_short_is_read_as_far_as_it_goes(tmp_path):
    file = tmp_path / "exercise.jsonl"
    whole = json.dumps({"what": "began", "at_s": 0.0})
    file.write_text(f'{whole}\n{{"what": "pict', encoding="utf-8")
    assert [e["what"] for e in read_log(file)] == ["began"]


@pytest.mark.parametrize(("last", "why"), [
    ({"what": "ended", "at_s": 9.0, "why": "time"}, ""),
    ({"what": "crashed", "at_s": 9.0, "detail": "the process world ended"}, "the process world ended"),
    ({"what": "picture", "at_s": 9.0}, NO_END),
])
def test_why_a_run_ended_early_is_read_from_its_log_and_a_killed_direction_is_no_end(last, why):
    assert ended_early([{"what": "began", "at_s": 0.0}, last]) == why


HASHED = """
import sys
from pathlib import Path
import msgspec
from sim.exercise_scenario import LIBRARY, load_exercise
from sim.exercise_run import LockstepRun
from sim.landscape_cache import cached_landscape
from sim.score import score_run
from sim.truth_sight import Sight
from tests.sim.test_exercise_run import SECONDS, for_so_long
landscape = None
for name in sys.argv[2:]:
    exercise = for_so_long(load_exercise(LIBRARY / f"{name}.toml"), SECONDS[name])
    if landscape is None:
        landscape = cached_landscape(exercise.scenario)
        sight = Sight(landscape)
    files = LockstepRun(exercise, Path(sys.argv[1]) / name, landscape=landscape, sight=sight).run()
    sys.stdout.buffer.write(msgspec.json.encode(score_run(files.folder, exercise, landscape, sight)) + b"\\n")
    sys.stdout.buffer.write(files.log.read_bytes())
"""


@pytest.mark.slow
def test_the_same_seed_gives_the_same_score_in_another_process_with_other_hashes(tmp_path_factory):
    """Sets and dictionaries of strings come in another order there: no score may lean on that.

    With a watchlist, its reports and a changed plate; with a drone that loses GPS; with more alarms than one person answers.
    """
    names = ("brokers-pickup", "drone-loss", "flood")
    folder = tmp_path_factory.mktemp("hash")        # a station's sockets lie in it, and their names have 107 bytes
    runs = []
    for seed in ("1", "777"):
        done = subprocess.run(
            [sys.executable, "-c", HASHED, str(folder / seed), *names], capture_output=True, cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        assert done.returncode == 0, done.stderr.decode()
        runs.append(done.stdout)
    assert runs[0].count(b'"what":"ended"') == len(names) and runs[0] == runs[1]
