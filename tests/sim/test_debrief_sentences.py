"""What a debrief says of single events has words in both languages, and none of them is left with a gap."""

import json
import re

import pytest

from sim.debrief_sentences import (
    ENDINGS,
    SENTENCES,
    about_nobody,
    best_says,
    comes,
    crossing_says,
    directed,
    drone_says,
    ended_because,
    event_says,
    in_language,
    missed_says,
)
from sim.exercise_log import NO_END
from sim.score import CrossingScore
from sim.score_drones import DroneScore, FaultScore
from sim.score_misses import Miss, Missed
from station.alarms import Alarm
from station.language import FOLDER, LANGUAGES
from station.picture import AlarmEventView, AlarmState
from station.sentences import SYSTEM_REASONS, Sentence

TEXTS = {name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in LANGUAGES}
ALARM = Alarm(7, "corridor_entry", 1, 0, Sentence("s", {}), True, corridor="khe-da")
SYSTEM_CODES = sorted(set(SYSTEM_REASONS))


def crossing(**given):
    known = {
        "who": (1, 1), "people": 3, "corridor": "khe-da", "began_s": 1.0, "ended_s": 90.0, "in_sight_s": 8.0,
        "alarmed_s": 30.0, "wait_s": 22.0, "alarm": "A-000007", "error_m": 0.5, "answered_s": 95.0, "closed_as": "animal",
        "reason_is_right": False,
    }
    return CrossingScore(**known | given)


def event(state=AlarmState.ACTIVE, person="system", reason=""):
    return event_says(ALARM, AlarmEventView(state, 0, person, reason), is_first=False)


ENDED = [
    {"what": "", "detail": NO_END},
    {"what": "crashed", "detail": "the process camera-1 ended: out of memory", "detail|key": "debrief.process_ended",
     "detail|name": "camera-1", "detail|said": "out of memory"},
]


def everything():
    """Every sentence that a debrief can hold."""
    said = [comes(crossing()), comes(crossing(people=1)), (Sentence("debrief.in_sight", {"corridor": "khe-da"}),)]
    said += [event_says(ALARM, AlarmEventView(AlarmState.ACTIVE, 0, "system", ""), is_first=True), event(AlarmState.CLOSED)]
    said += [event(reason=f"{code} C-000002") for code in SYSTEM_CODES]
    said += [event(AlarmState.ACKNOWLEDGED, "anh Ba"), event(AlarmState.ESCALATED, "anh Ba", "again nobody was there")]
    said += [event(AlarmState.CLOSED, "anh Ba", "lawful"), event(AlarmState.CLOSED, "anh Ba", "lawful of the village")]
    said += [event(AlarmState.ACKNOWLEDGED, "anh Ba", "team_sent T-000001")]
    said += [(Sentence("debrief.answered", {"match": "M-000001", "answer": "confirmed", "person": "anh Ba"}),)]
    said += [(Sentence("debrief.asked", {"match": "M-000001", "contact": "C-000002", "subject": "S-000001",
                                         "lane": "welfare", "bits": 12.3}),)]
    log = [{"what": "inject", "id": "fog", "by": "time"}, {"what": "inject", "id": "fog", "by": "trainer"},
           {"what": "inject", "id": "fog", "by": "by hand"},
           {"what": "inject_over", "id": "fog"}, {"what": "pace", "pace": 2.0}, {"what": "crashed", "detail": "camera-1"},
           *({"what": what} for what in ("paused", "resumed", "frozen", "ended"))]
    said += [directed(entry) for entry in log]
    said += [(Sentence("debrief.crash", ended_because([dead], dead["detail"])),) for dead in ENDED]
    said += [missed_says(crossing(), Miss(m, 12.0)) for m in Missed]
    said += [missed_says(crossing(people=1), Miss(Missed.LATE, 12.0))]
    said += [says for c in (crossing(), crossing(answered_s=None)) for _, says in crossing_says(c)]
    said += [best_says(crossing()), best_says(crossing(answered_s=None))]
    said += [about_nobody("A-000009", "khe-da"), about_nobody("A-000009", "")]
    said += [(Sentence("debrief.not_asked", {"subject": "S-000001", "actor": "broker"}),)]
    said += [(Sentence("debrief.wrong_lane", {"subject": "S-000001", "actor": "broker", "lane": "welfare"}),)]
    faults = (FaultScore("a", "gps", 10.0, 60.0, 12.0, 15.0), FaultScore("b", "link", 10.0, None, None, None))
    drone = DroneScore("drone-1", 3.0, 4.0, 1, 0, 9.0, False, 12.0, 8.0, 40.0, 0, faults)
    said += [says for _, _, says in drone_says(drone)]
    return [*said, (Sentence("debrief.crash", {"detail": "camera-1 ended"}),)]


def parameters(text):
    return set(re.findall(r"\{(\w+)", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_has_words_that_use_its_parameters(language):
    assert [k for k in SENTENCES if k not in TEXTS[language]] == []
    assert {k: v for k, v in SENTENCES.items() if parameters(v) != parameters(TEXTS[language][k])} == {}
    assert [m for m in Missed if f"missed.{m.value}" not in TEXTS[language]] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_why_an_exercise_ended_early_is_said_in_the_language_and_what_a_machine_said_is_quoted(language):
    assert [k for k, v in ENDINGS.items() if parameters(v) != parameters(TEXTS[language][k])] == []
    said = [in_language((Sentence("debrief.crash", ended_because([dead], dead["detail"])),), language) for dead in ENDED]
    assert all(("ended early" in text) == (language == "en") for text in said)
    assert "out of memory" in said[1] and ("the process camera-1" in said[1]) == (language == "en")
    assert ("without a word" in said[0]) == (language == "en")
    old = ended_because([{"what": "crashed", "detail": "as it was recorded before"}], "as it was recorded before")
    assert "as it was recorded before" in in_language((Sentence("debrief.crash", old),), language)


def test_the_table_and_what_is_said_are_the_same():
    assert {s.key for says in everything() for s in says} == set(SENTENCES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_is_said_has_a_gap_or_a_bare_key(language):
    for says in everything():
        text = in_language(says, language)
        assert "?" not in text.replace("S-000001?", "").replace("S-000001 không?", ""), text
        assert not re.search(r"debrief\.|missed\.|\{|\||not_found|corridor_entry|_", text), text


def test_vietnamese_is_not_left_in_english():
    worded = [k for k in SENTENCES if re.search(r"[a-z]{3}", re.sub(r"\{[^}]*\}", "", TEXTS["en"][k]))]
    assert len(worded) > 40
    assert [k for k in worded if TEXTS["vi"][k] == TEXTS["en"][k]] == []


def test_what_a_person_typed_is_not_taken_for_the_stations_own_word():
    (said,) = event(AlarmState.ESCALATED, "anh Ba", "again nobody was there")
    assert said.key == "debrief.person_said" and said.params["said"] == "again nobody was there"
