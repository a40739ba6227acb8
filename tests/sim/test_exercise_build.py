"""An exercise as data and back: its text and comments stay, what cannot be is refused with line and key and is not saved."""

import pytest

from sim.exercise_build import blank, check, check_text, comments_of, data_of, open_exercise, save
from sim.exercise_scenario import LIBRARY, library, load_exercise
from wire.settings import SettingsError


@pytest.mark.parametrize("path", library(), ids=lambda p: p.stem)
def test_an_exercise_that_is_opened_and_not_changed_stays_the_same_text(path, tmp_path):
    opened = open_exercise(path, False)
    checked, exercise = check(tmp_path, path.stem, path, opened.data)
    assert checked.text == opened.text and checked.refused == "" and checked.lost_comments == ()
    assert exercise.settings.actors == load_exercise(path).settings.actors
    assert comments_of(checked.text) == comments_of(path.read_text(encoding="utf-8"))


def test_a_change_changes_its_own_line_and_every_comment_stays(tmp_path):
    path = LIBRARY / "single-walker.toml"
    data = open_exercise(path, False).data
    data["actors"][0]["enters_s"] = 55
    data["starts"] = "2026-11-24T19:30:00+07:00"
    data["cameras"][0]["yaw_deg"] = 170.5
    data["actors"][1]["script"].append({"do": "wait", "seconds": 20})
    data["drones"], data["watchlist"] = [], []         # as a page has what a file does not mention
    data["injects"] = [{"id": "bag", "do": "camera", "camera": "camera-1", "fault": "covered", "at_s": 60}]
    checked, exercise = check(tmp_path, "mine", path, data)
    assert checked.refused == "" and checked.lost_comments == ()
    s = exercise.settings
    assert (s.name, s.actors[0].enters_s, s.cameras[0].yaw_deg, s.injects[0].id) == ("mine", 55.0, 170.5, "bag")
    assert s.starts.isoformat() == "2026-11-24T19:30:00+07:00"
    assert len(s.actors[1].script) == 3
    before = [line for line in path.read_text(encoding="utf-8").splitlines() if line and '"../' not in line]
    gone = [line for line in before if line not in checked.text.splitlines()]
    assert len(gone) == 5, gone        # name, starts (its comment stays), enters_s, and the two lines of the script
    assert checked.text.count("# of the simulated sky") == 1


def test_comments_beside_what_is_taken_out_are_told(tmp_path):
    path = LIBRARY / "brokers-pickup.toml"
    data = open_exercise(path, False).data
    data["actors"] = [a for a in data["actors"] if a["name"] != "delivery"]
    checked, _ = check(tmp_path, "mine", path, data)
    assert checked.refused == "" and checked.lost_comments == ("# an honest one, with a plate of its own",)


def test_what_cannot_be_is_refused_with_line_and_key_of_the_file_as_it_would_be_and_is_not_saved(tmp_path):
    path = LIBRARY / "single-walker.toml"
    data = open_exercise(path, False).data
    data["actors"][0]["at"] = {"on": "khe-da", "at_m": 28000}
    checked, exercise = check(tmp_path, "mine", path, data)
    assert exercise is None and checked.key == "actors.0.at"
    assert checked.refused.startswith(f"mine.toml:{checked.line}: actors.0.at: ") and "28000" in checked.refused
    assert "28000" in checked.text.splitlines()[checked.line - 1]
    with pytest.raises(SettingsError, match=r"mine\.toml:\d+: actors\.0\.at"):
        save(tmp_path, checked, "mine", "")
    assert list(tmp_path.iterdir()) == []


def test_a_file_written_by_hand_is_judged_the_same(tmp_path):
    text = blank().text
    checked, exercise = check_text(tmp_path, "by-hand", text)
    assert checked.refused == "" and exercise.settings.name == "by-hand" and exercise.settings.actors == []
    broken, none = check_text(tmp_path, "by-hand", text.replace("seed = 1", "seed = "))
    assert none is None and broken.refused.startswith("by-hand.toml:3: not valid TOML") and broken.line == 3
    assert data_of("seed = ") is None and data_of("seed = 3") == {"seed": 3}


def test_nobody_saves_over_the_library_or_over_what_somebody_else_has_saved(tmp_path):
    checked, _ = check(tmp_path, "mine", None, blank().data)
    file = save(tmp_path, checked, "mine", "")
    first = open_exercise(file, True)
    other, _ = check(tmp_path, "mine", file, first.data | {"seed": 7})
    save(tmp_path, other, "mine", first.state)
    with pytest.raises(SettingsError, match="not as you opened it"):
        save(tmp_path, checked, "mine", first.state)
    assert open_exercise(file, True).data["seed"] == 7
    for name in ("single-walker", "../mine", "Mine", "", "a" * 41):
        with pytest.raises(SettingsError):
            save(tmp_path, checked, name, "")
    assert [f.name for f in tmp_path.iterdir()] == ["mine.toml"]


def test_a_new_exercise_takes_its_first_actor(tmp_path):
    data = blank().data
    data["actors"] = [{"name": "two", "kind": "person", "role": "crosser", "count": 2, "at": {"on": "khe-da", "at_m": 300},
                       "script": [{"do": "follow_trail", "trail": "khe-da", "to_m": 400}]}]
    refused, _ = check(tmp_path, "mine", None, data)
    assert refused.key == "exercise.nothing_to_find"
    data["exercise"]["nothing_to_find"] = False
    checked, exercise = check(tmp_path, "mine", None, data)
    assert checked.refused == "" and exercise.settings.actors[0].count == 2
    assert "[[actors]]" in checked.text
