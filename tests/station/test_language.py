"""Both languages say the same things, and everything that code wants to say has words in both."""

import json
import re
from typing import get_args

import pytest

from edge.settings import PROFILES
from fleet.checker_words import PARTS, WORDS
from fleet.dispatch_words import WORDS as DISPATCHED
from fleet.planner_words import WORDS as REFUSALS
from fleet.preflight_words import WORDS as SAYS
from sim.debrief_sentences import SENTENCES as DEBRIEFED
from sim.desk_words import REFUSED
from sim.director_view import Phase
from sim.exercise_settings import AnyInject, DroneFaultName, Measure, Tool
from sim.score_misses import Missed
from sim.world_settings import AnyAct, GaitName
from sim.world_state import Kind
from sim.world_state import Role as ActorRole
from station import alarms, guard, teams
from station.access import Role
from station.admission import REASONS
from station.alarm_settings import Direction
from station.backup import FILES
from station.coverage_picture import Grade, SeesNothing
from station.coverage_runs import NEVER
from station.doubt_words import DOUBTS
from station.duty import TeamState
from station.nomination import COLUMNS
from station.notifier_settings import Tells
from station.orders import OrderState
from station.picture import AlarmState, ContactState, MatchState
from station.record_read import ACTIONS
from station.retention_show import KINDS as KEPT_KINDS
from station.sentences import SENTENCES, SYSTEM_REASONS
from station.subjects import Category, Lane
from station.watchlist_pages import RowState, Shown
from station.web_fleet import BOUNDS
from tests.web_stage import ROOT
from wire.flying import LinkState, PreflightState, TaskPhase, WaypointKind
from wire.keys import NodeKind
from wire.messages import OrderAction, SensorState
from wire.node_words import NODE_WORDS
from wire.optics import SensorKind
from wire.tasking import FleetAction, FlightKind
from wire.units import Colour, ObjectClass, VehicleKind

STATIC = ROOT / "station" / "static"
LANGUAGES = {name: json.loads((STATIC / "language" / f"{name}.json").read_text(encoding="utf-8")) for name in ("vi", "en")}
SCRIPTS = {p.name: p.read_text(encoding="utf-8") for p in STATIC.glob("*.js")}
ADMIN_SECTIONS = ("people", "nodes", "tokens", "health", "backups", "retention", "layers", "record")
PLANNED_KINDS = ("corridor", "share", "area", "point", "orbit", "debt")
PLAN_FIELDS = (*BOUNDS.keys() - {"overlap"}, "corridor", "follow_ground", "by_camera", "fit", "wait")
PREFLIGHT_ITEMS = [
    name.replace(" ", "_") for name in re.findall(
        r'\bitem\(\s*"([a-z ]+)"', (ROOT / "fleet" / "preflight.py").read_text(encoding="utf-8")
    )
]
MOMENTS = ("missed", "late", "unanswered", "wrong_reason", "false_alarm", "wrong_lane", "not_asked", "best_catch", "crash",
           "too_near", "no_reserve", "drone_fault")


def tags(union):
    return [kind.__struct_config__.tag for kind in get_args(union)]


ONE_WORD = {        # what a thing is called, and what it was called besides
    "cảnh báo": "báo động", "UAV": r"\bdrone\b|máy bay", "camera": "máy quay|máy ảnh", "máy lái": "bộ lái",
    "bản tin": "thông điệp", "sự cố đã hết": "lỗi đã hết", "vụ việc": "sự việc", "khu vực": "địa bàn",
}
FLIGHT_PARTS = ("sortie", "before", "passing", "command", "transfer", "differs")

# Keys that scripts put together from a word of the station.
BUILT = {
    "class": ObjectClass, "contact_state": ContactState, "alarm_state": AlarmState, "sensor": SensorState, "link": LinkState,
    "task": TaskPhase, "preflight": PreflightState, "role": Role, "lane": Lane, "category": Category,
    "close": alarms.CLOSE_REASONS, "reason": [*SYSTEM_REASONS, "shelved"], "sound": ["on", "muted", "locked"],
    "match": [MatchState.CONFIRMED, MatchState.REJECTED], "answer": [MatchState.CONFIRMED, MatchState.REJECTED],
    "order": OrderAction, "order_state": OrderState, "profile": [p.name for p in PROFILES],
    "kind": VehicleKind, "colour": Colour, "grade": ["0", *(f"{p}{int(g)}" for g in Grade if g for p in ("", "pixels."))],
    "sensor_kind": SensorKind,
    "coverage": [
        *(f"age.{n}" for n in range(1, NEVER + 1)), *(f"why.{w}" for w in SeesNothing if w),
        *(f"light.{w}" for w in ("day", "dusk", "night")),
        *(f"column.{w}" for w in ("corridor", "now", "oldest", "debt")),
        *(f"form.{w}" for w in ("visibility_m", "rain_mm_h", "hours")),
    ],
    "direction": Direction, "crossed": Direction, "team_state": TeamState, "team_outcome": teams.OUTCOMES,
    "rule": [*alarms.CONTACT_RULES, "watchlist_match", *alarms.TECHNICAL_RULES],
    "close_group": ["border", "welfare", "nothing"],
    "notify": [*Tells, "test"],
    "person": ["system"],
    "layers": ["contour", "cover", "relief", "way"],
    "search_kind": ["place", "alarm", "contact", "plate", "sensor", "drone", "corridor", "keep_out", "subject", "match"],
    "layer_form": ["geojson", "geopackage", "geotiff"],
    "weekday": [str(day) for day in range(7)],
    "said": ["acknowledged", "escalated", "shelved", "closed"],
    "lane_name": Lane, "lane_who": Lane, "lane_how": Lane, "shown": Shown, "row_state": RowState, "column": COLUMNS,
    "trace": ACTIONS, "trace_action": [*FleetAction, *OrderAction], "turned_away": REASONS,
    "node_says": NODE_WORDS,
    "detail": [],       # names in the record's details; one that has no words is shown as it stands there
    "file": [name.removesuffix(".db") for name, _ in FILES], "node_kind": NodeKind,
    "kept": [kind.replace(" ", "_") for kind in KEPT_KINDS], "admin_tab": ADMIN_SECTIONS, "admin_about": ADMIN_SECTIONS,
    "flight": FlightKind, "flight_about": PLANNED_KINDS, "waypoint": WaypointKind,
    "act": [*FleetAction, "launch_now", "launched"],
    "plan_field": PLAN_FIELDS, "plan_habit": ["height_m", "speed_m_s", "reach_m"], "leg": ["good", "bad"],
    "buffer": ["drift_m", "reaction_m", "margin_m"], "investigate_step": ["accepted", "executing", "in_view"],
    "dispatch": [w.removeprefix("dispatch.") for w in DISPATCHED if w.startswith("dispatch.")],
    "look": [w.removeprefix("look.") for w in DISPATCHED if w.startswith("look.")],
    **{part: [w.removeprefix(f"{part}.") for w in DISPATCHED if w.startswith(f"{part}.")] for part in FLIGHT_PARTS},
    "command_result": ["failed", "denied", "unsupported", "temporarily_rejected", "cancelled"],
    "plan_refused": [w.removeprefix("plan_refused.") for w in REFUSALS],
    "preflight_item": PREFLIGHT_ITEMS, "transfer_of": ("mission", "fence", "rally_points"),
    "preflight_says": [w.removeprefix("preflight_says.") for w in SAYS],
    "flight_mode": [],      # an autopilot's names of its modes; one that has no words is shown as it is
    "check": [w.removeprefix("check.") for w in WORDS], "part": PARTS,     # the fleet's refusals
    # The trainer's desk (sim.exercise_desk), whose pages lie with the station's.
    "phase": [*Phase, "preparing", "frozen"], "run_state": ["running", "over", "crashed", "not_begun"],
    "tool": get_args(Tool), "measure": get_args(Measure), "moment": MOMENTS,
    "track": ["truth", "alarm", "person", "direction"], "gait": get_args(GaitName),
    "actor_kind": Kind, "actor_role": ActorRole, "inject_do": tags(AnyInject), "step": tags(AnyAct),
    "drone_fault": get_args(DroneFaultName), "table": ["crossings", "timeline", "moments", "people", "teams"],
    "debrief": [k.removeprefix("debrief.") for k in DEBRIEFED], "missed": Missed,
    "age_of": ["child", "young", "old"], "past_realm": ["live", "training"],
    "weather": ["at_s", "over_s", "cloud", "rain_mm_h", "visibility_m", "wind_mps", "wind_from_deg"],
    "build_tab": ["about", "actors", "cameras", "weather", "injects", "file"], "build_mode": ["start", "way", "place"],
    "build_when": ["time", "condition", "hand"], "build_on": ["alarms", "actor", "after"],
}


def parameters(text):
    return set(re.findall(r"\{(\w+)", text))


def test_both_languages_have_the_same_keys_and_parameters():
    vi, en = LANGUAGES["vi"], LANGUAGES["en"]
    assert set(vi) ^ set(en) == set()
    assert {k: (parameters(vi[k]), parameters(en[k])) for k in vi if parameters(vi[k]) != parameters(en[k])} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_of_the_station_has_words_and_they_use_its_parameters(language):
    texts = LANGUAGES[language]
    assert [k for k in SENTENCES if k not in texts] == []
    wrong = {k: parameters(texts[k]) - parameters(SENTENCES[k]) for k in SENTENCES}
    assert {k: names for k, names in wrong.items() if names} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_passed_on_as_a_text_has_words_and_is_taken_apart_again(language):
    """Why a node's place is not believed, what a trainer is refused: the first form that fits is the one it was made by."""
    for templates in (DOUBTS, REFUSED):
        for key, meant in templates.table.items():
            assert parameters(LANGUAGES[language][key]) == parameters(meant)
            values = {n: "16.62, 106.59" if n == "place" else f"{n}-7" for n in parameters(meant)}
            text = templates.text(key, **values)
            inner = {f"words|{n}": value for n, value in values.items()}
            assert templates.within("words", text) == {"words": text, "words|key": key, **inner}
        assert templates.within("words", "what nobody says") == {"words": "what nobody says"}
    told = REFUSED.within("words", "exercise say pause: the exercise has not begun")
    assert told["words|key"] == "desk.refused.not_begun"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_a_node_has_words_and_they_use_its_values(language):
    texts = LANGUAGES[language]
    assert [k for k in NODE_WORDS if f"node_says.{k}" not in texts] == []
    assert {k for k in NODE_WORDS if parameters(texts[f"node_says.{k}"]) - parameters(NODE_WORDS[k])} == set()
    left = {k.removeprefix("node_says.") for k in texts if k.startswith("node_says.")} - set(NODE_WORDS)
    assert left == set(), "no node says this"


def test_every_sentence_that_python_builds_has_words():
    keys = set()
    for path in (ROOT / "station").glob("*.py"):
        keys |= set(re.findall(r'Sentence\(\s*"([a-z_.]+)"', path.read_text(encoding="utf-8")))
    assert "refused.login" in keys and "alarm.node_silent" in keys
    assert sorted(keys - set(LANGUAGES["vi"])) == []


def test_every_key_that_a_script_names_has_words():
    named = {(name, key) for name, text in SCRIPTS.items() for key in re.findall(r'(?<![\w.])t\(\s*"([\w.]+)"', text)}
    for found in (r'"((?:keys|queue|feed|node)\.\w+)"', r'key: "([\w.]+)"'):
        named |= {(name, key) for name, text in SCRIPTS.items() for key in re.findall(found, text)}
    assert len(named) > 80
    assert sorted((n, k) for n, k in named if k not in LANGUAGES["vi"]) == []


def test_every_key_that_a_script_builds_from_a_word_has_words():
    keys = {f"{prefix}.{word}" for prefix, words in BUILT.items() for word in words}
    keys |= {f"alarm_state.{s}_by" for s in AlarmState if s is not AlarmState.ACTIVE}
    assert sorted(keys - set(LANGUAGES["vi"])) == []
    built = {p for text in SCRIPTS.values() for p in re.findall(r"t\(`(\w+)\.\$", text)}
    assert built <= set(BUILT), "a script builds keys that this test does not know"
    ways = {h for t in LANGUAGES["vi"].values() for h in re.findall(r"\|(\w+)\}", t)}
    assert ways <= {*BUILT, "time", "corridor", "short"}


def test_no_text_is_left_over():
    python = [*(ROOT / "station").glob("*.py"), *(ROOT / "sim").glob("*desk*.py"), ROOT / "sim" / "director.py"]
    used = "\n".join(SCRIPTS.values()) + "\n".join(p.read_text(encoding="utf-8") for p in python)
    left = [k for k in LANGUAGES["vi"] if f'"{k}"' not in used and k.split(".")[0] not in BUILT and k not in SENTENCES]
    assert left == []


def test_one_thing_has_one_word_in_vietnamese():
    """As DESIGN.md has it for English: an operator must not wonder whether a second word means a second thing."""
    paper = json.loads((ROOT / "sim" / "assets" / "debrief_words.json").read_text(encoding="utf-8"))["vi"]
    said = {k: re.sub(r"\{[^}]*\}", "", text) for k, text in (LANGUAGES["vi"] | paper).items()}
    for word, others in ONE_WORD.items():
        assert {k: text for k, text in said.items() if re.search(others, text, re.IGNORECASE)} == {}, f"it is called {word}"


def test_no_script_parses_text_as_html():
    banned = re.compile(r"(inner|outer|Adjacent)HTML|document\.write|\beval\(|new Function|DOMParser|ContextualFragment")
    assert [name for name, text in SCRIPTS.items() if banned.search(text)] == []
    assert [name for name, text in SCRIPTS.items() if re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)] == []


def test_close_codes_of_the_page_are_those_of_the_station():
    codes = re.search(r"CLOSE_CODES = \[([^\]]+)\]", SCRIPTS["decision.js"]).group(1)
    assert tuple(re.findall(r'"(\w+)"', codes)) == alarms.CLOSE_REASONS
    minutes = re.search(r"SHELVE_MINUTES = \[([^\]]+)\]", SCRIPTS["decision.js"]).group(1)
    assert tuple(int(m) for m in minutes.split(",")) == alarms.SHELVE_MINUTES
    system = re.search(r"SYSTEM_REASONS = \[([^\]]+)\]", SCRIPTS["decision.js"]).group(1)
    assert set(re.findall(r'"(\w+)"', system)) == set(SYSTEM_REASONS)


def test_a_reason_fits_what_the_station_takes():
    longest = max(int(n) for n in re.findall(r"maxlength: (\d+)", SCRIPTS["decision.js"] + SCRIPTS["match.js"]))
    assert longest + len("false_detection ") <= guard.REASON_LIMIT
