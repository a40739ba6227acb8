"""The score by person, by all together and by the teams that were sent: from a run's own station, on paper and in tables."""

import csv
import json
import sqlite3

import msgspec
import pytest

from sim.exercise_debrief import debrief, summary, write_csv
from sim.exercise_debrief_pdf import debrief_pdf
from sim.exercise_run import LockstepRun
from sim.exercise_scenario import LIBRARY, load_exercise
from sim.landscape_cache import cached_landscape
from station.duty import TeamState
from station.shift_log import Entry, TeamSent, TeamTold, write_entries
from tests.sim.test_exercise_run import for_so_long
from wire.clock import NS_PER_S


def sent(run, teams):
    """As the mind of its station writes it: team, alarm, who, by whom, seconds after the alarm, and what came of it."""
    with sqlite3.connect(run / "station/mind.db") as mind:
        raised = dict(mind.execute("SELECT alarm, min(at_ns) FROM alarm_events GROUP BY alarm"))
        entries = []
        for number, (alarm, who, person, after_s, told) in enumerate(teams, start=1):
            at_ns = raised[alarm] + after_s * NS_PER_S
            body = TeamSent(number, alarm, who, at_ns + 600 * NS_PER_S, True, "")
            entries.append(Entry(len(entries) + 1, at_ns, person, body))
            for state, later_s, reason in told:
                entries.append(Entry(len(entries) + 1, at_ns + later_s * NS_PER_S, person, TeamTold(number, state, reason)))
        write_entries(mind, entries)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    exercise = for_so_long(load_exercise(LIBRARY / "single-walker.toml"), 120.0)
    run = tmp_path_factory.mktemp("teams") / "run"
    LockstepRun(exercise, run, landscape=cached_landscape(exercise.scenario)).run()
    with sqlite3.connect(run / "station/mind.db") as mind:
        (alarm,) = mind.execute("SELECT id FROM alarms WHERE rule = 'corridor_entry' ORDER BY id LIMIT 1").fetchone()
        events = mind.execute("SELECT max(number), max(at_ns) FROM alarm_events WHERE alarm = ?", (alarm,)).fetchone()
        # A second person closes what the drilled one took.
        mind.execute(
            "INSERT INTO alarm_events(alarm, number, state, at_ns, person, reason) "
            "VALUES (?, ?, 'closed', ?, 'hoa', 'lawful')",
            (alarm, events[0] + 1, events[1] + 40 * NS_PER_S),
        )
    sent(run, [
        (alarm, "Tổ 1", "lan", 12, [(TeamState.ARRIVED, 300, ""), (TeamState.DONE, 900, "turned_back at the stream")]),
        (alarm, "Tổ 2", "hoa", 30, [(TeamState.RECALLED, 20, "")]),
    ])
    return debrief(run)


def test_each_team_says_when_it_was_sent_and_there_and_after_whom(found):
    first, second = found.score.teams
    assert (first.who, first.by, first.waited_s, first.arrived_s - first.sent_s) == ("Tổ 1", "lan", 12.0, 300.0)
    assert (first.outcome, first.recalled, first.right) == ("turned_back", False, True)
    assert (second.arrived_s, second.outcome, second.recalled) == (None, "", True)


def test_all_together_are_the_sum_of_each(found):
    people, together = found.score.people, found.score.together
    assert {"hoa"} < {p.name for p in people} and together.name == ""
    for what in ("answered", "escalated", "teams_sent", "closed", "right_reasons", "wrong_reasons", "matches_answered"):
        assert getattr(together, what) == sum(getattr(p, what) for p in people)
    assert together.wrong_reasons == 1, "a walker from over the border is not lawful"
    assert msgspec.json.decode(msgspec.json.encode(found.score))["together"]["closed"] == together.closed


def test_people_and_teams_are_in_words_in_tables_and_on_paper(found, tmp_path):
    said = summary(found)
    assert "all together:" in said and "Tổ 1" in said and "there 300 s later, turned_back" in said and "recalled" in said
    write_csv(found, tmp_path)
    with (tmp_path / "people.csv").open(encoding="utf-8", newline="") as file:
        people = list(csv.DictReader(file))
    assert [p["name"] for p in people] == [*(p.name for p in found.score.people), "all together"]
    with (tmp_path / "teams.csv").open(encoding="utf-8", newline="") as file:
        assert [t["who"] for t in csv.DictReader(file)] == ["Tổ 1", "Tổ 2"]
    bare = msgspec.structs.replace(found, score=msgspec.structs.replace(found.score, teams=(), together=None))
    for language in ("vi", "en"):
        assert len(debrief_pdf(found, language)) > len(debrief_pdf(bare, language))


def test_a_run_kept_by_an_earlier_program_is_still_read(found):
    kept = json.loads(msgspec.json.encode(found.score))
    del kept["teams"], kept["together"]
    old = msgspec.convert(kept, type=type(found.score))
    assert old.teams == () and old.together is None
