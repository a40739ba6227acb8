"""Exercises as files: the library loads, and what cannot be is refused with file, line, key and reason."""

import re

import msgspec
import pytest

from sim.exercise_scenario import LIBRARY, find_exercise, library, load_exercise
from sim.exercise_settings import MessageInject, ReportInject
from sim.exercise_words import record_for_trainees
from sim.world_scenario import load_scenario
from wire.settings import SettingsError


def test_the_library_has_what_an_instructor_asks_for():
    names = {p.stem for p in library()}
    assert len(names) >= 12
    for name in ("single-walker", "party-night-rain", "motorbike-run", "decoy", "cattle-and-farmers", "brokers-pickup",
                 "river-fog", "lost-child", "outbound-victims", "boat-by-night", "drone-loss", "sabotage", "flood"):
        assert name in names


@pytest.mark.parametrize("path", library(), ids=lambda p: p.stem)
def test_every_exercise_of_the_library_is_sound(path):
    exercise = load_exercise(path)
    assert exercise.name == path.stem
    assert exercise.eyes and exercise.settings.goals
    s = exercise.settings
    assert "" not in msgspec.structs.astuple(s.words.vi), "it is read in Vietnamese too, all of it"
    assert set(s.words.vi.says) == {i.id for i in s.injects if isinstance(i, MessageInject | ReportInject)}
    for entry in s.watchlist:
        read = record_for_trainees(s, entry)
        assert read.reason != entry.reason and read.what_to_do != entry.what_to_do, "nor what stands on a record"
        assert all(new.says != old.says for new, old in zip(read.reports, entry.reports, strict=True))
    # A world's process and its cameras read the same file.
    assert load_scenario(path, exercise.sector).settings.name == exercise.name


WRONG = [
    ("single-walker", r"at_m = 280\.0", "at_m = 28000.0", "at", '"khe-da" goes from 0 to'),
    ("single-walker", r"position = \[16\.620240, 106\.593880\]", "position = [16.9, 106.5]", "at", "outside the box"),
    ("single-walker", r'^id = "camera-2"', 'id = "camera-2"\nheight_agl_m = -3.0', "height_agl_m", "under the ground"),
    ("sabotage", r"at_s = 100\.0", "at_s = 1000.0", "at_s", "the exercise ends at 900 s"),
    ("sabotage", r'camera = "camera-1"', 'camera = "camera-9"', "camera", 'there is no camera "camera-9"'),
    ("sabotage", r'after = "bag-over-camera-1"', 'after = "farmer-calls"', "when", "no other inject"),
    ("decoy", r"count = 3\nscript", "count = 9\nscript", "count", "the party has 6"),
    ("decoy", r'on = "khe-da", beyond_m = 360\.0', 'on = "nowhere", beyond_m = 360.0', "when", 'no trail or road "nowhere"'),
    ("lost-child", r'subject = "girl"', 'subject = "boy"', "subject", "not in [[watchlist]]"),
    ("lost-child", r'^actor = "girl"', 'actor = "boy"', "actor", 'nobody here is called "boy"'),
    ("drone-loss", r'^may_use = .*$', 'may_use = ["orders"]', "drone", "may not use drones"),
    ("drone-loss", r'corridor = "khe-da"', 'corridor = "nowhere"', "corridor", 'there is no "nowhere"'),
    ("cattle-and-farmers", r'role = "farmer"\ncount', 'role = "crosser"\ncount', "nothing_to_find", "crosses"),
    ("single-walker", r"enters_s = 260\.0", "enters_s = 900.0", "enters_s", "the exercise ends at 600 s"),
    ("single-walker", r"seconds = 600\.0", "seconds = 1.0", "seconds", "give 10 to"),
    ("flood", r"^\[words\.vi\]", "[words.xx]", "words.xx", "unknown field"),
    ("sabotage", r"^farmer-calls = ", "farmer-writes = ", "words.vi.says.farmer-writes", "those that do: farmer-calls"),
    ("lost-child", r"^\[words\.vi\.watchlist\.girl\]", "[words.vi.watchlist.boy]", "watchlist.boy", "there are: girl"),
    ("lost-child", r'^reports = \["cháu', 'reports = ["", "cháu', "reports", "2 reports, and the record has 1"),
    ("flood", r"for_s = 60\.0", "for_s = -1.0", "for_s", "0 is to the end"),
    ("single-walker", r"enters_s = 40\.0", "enters_s = nan", "actors.0.enters_s", "nan: give a number"),
    ("sabotage", r"at_s = 100\.0", "at_s = nan", "injects.0.at_s", "nan: give a number"),
    ("party-night-rain", r"spacing_m = 2\.6", "spacing_m = inf", "actors.0.spacing_m", "inf: give a number"),
    ("single-walker", r"at_least = 1\.0", "at_least = nan", "goals.0.at_least", "nan: give a number"),
    ("single-walker", r"^seed = \d+", "seed = -1", "seed", "give 0 or more"),
    ("single-walker", r'^id = "camera-2"', 'id = "camera-2"\nlamp_reach_m = -4.0', "lamp_reach_m", "0 for no lamp"),
    ("flood", r'measure = "pd"', 'measure = "beauty"', "measure", "Invalid enum value"),
]


@pytest.mark.parametrize(("name", "old", "new", "key", "says"), WRONG, ids=[f"{w[0]}-{w[3]}" for w in WRONG])
def test_what_cannot_be_is_refused_with_file_line_and_key(tmp_path, name, old, new, key, says):
    text = (LIBRARY / f"{name}.toml").read_text(encoding="utf-8")
    for folder in ("sectors", "worlds", "demo"):
        text = text.replace(f'"../{folder}/', f'"{LIBRARY.parent}/{folder}/')
    text, changed = re.subn(old, new, text, count=1, flags=re.MULTILINE)
    assert changed == 1
    file = tmp_path / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_exercise(file)
    words = str(refused.value)
    where = re.match(rf"{re.escape(str(file))}:(\d+): ", words)
    assert where and int(where[1]) > 1, words
    assert key in words and says in words


def test_injects_that_wait_for_each_other_are_refused(tmp_path):
    text = (LIBRARY / "flood.toml").read_text(encoding="utf-8").replace('"../', f'"{LIBRARY.parent}/')
    text += '[[injects]]\nid = "a"\ndo = "message"\nsays = "x"\nwhen = { after = "b" }\n'
    text += '[[injects]]\nid = "b"\ndo = "message"\nsays = "x"\nwhen = { after = "a" }\n'
    file = tmp_path / "ring.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="waits for itself"):
        load_exercise(file)


def test_a_name_that_is_not_in_the_library_lists_what_is():
    with pytest.raises(SettingsError, match="single-walker"):
        find_exercise("nobody")
