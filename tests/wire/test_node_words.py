"""What a node says: its text, its key, and that every place in the code names a key with all its values."""

import ast
import re

import msgspec
import pytest

from tests.conftest import ROOT
from wire.codec import decode_envelope, encode_envelope
from wire.messages import Envelope, NodeHealth, OrderResult, SensorReport, SensorState
from wire.node_words import NO_TEXT, NODE_WORDS, NodeText, Worded, all_of, nested, node_text
from wire.units import HeightMsl, Position, TimeQuality

ROOMS = ("wire", "cameras", "mavlink", "edge", "sim")


def calls():
    """Every call of node_text: where, its keys as far as they stand there, and the names of its values."""
    for room in ROOMS:
        for path in sorted({*(ROOT / room).glob("*.py")} - {ROOT / "wire" / "node_words.py"}):
            for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(found, ast.Call) and getattr(found.func, "id", "") == "node_text":
                    yield f"{path.name}:{found.lineno}", found.args[0], {k.arg for k in found.keywords}


def patterns(key):
    """The keys that an expression may give, as regular expressions; those of a variable are found where it is set."""
    match key:
        case ast.Constant():
            return [re.escape(key.value)]
        case ast.IfExp():
            return [*patterns(key.body), *patterns(key.orelse)]
        case ast.JoinedStr():
            return ["".join(re.escape(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in key.values)]
        case _:
            return []


def test_every_place_that_says_something_names_a_key_and_gives_all_its_values():
    found = list(calls())
    assert len(found) > 90
    wrong = []
    for where, key, given in found:
        for pattern in patterns(key):
            known = [k for k in NODE_WORDS if re.fullmatch(pattern, k)]
            wrong += [where] if not known else []
            wrong += [f"{where} {k}" for k in known if set(re.findall(r"{(\w+)", NODE_WORDS[k])) != given]
    assert wrong == []


def test_no_key_is_left_over():
    named = "\n".join(p.read_text(encoding="utf-8") for room in ROOMS for p in (ROOT / room).glob("*.py")
                      if p.name != "node_words.py")
    built = ("side_", "compass_", "exercise_")
    assert [k for k in NODE_WORDS if f'"{k}"' not in named and not k.startswith(built) and k != "both"] == []


def test_a_text_within_a_text_keeps_its_own_key_and_values():
    said = node_text("position_unchecked", seconds=70, why=node_text("no_new_fix", seconds=69))
    assert said == "position unchecked for 70 s: no new fix for 69 s"
    assert said.worded == Worded("node_says.position_unchecked", {
        "seconds": 70, "why": "no new fix for 69 s", "why|key": "node_says.no_new_fix", "why|seconds": 69,
    })
    assert all(type(v) in (str, int) for v in said.worded.params.values())


def test_texts_together_are_one_and_those_that_say_nothing_are_left_out():
    first, second = node_text("no_plates"), node_text("no_picture")
    assert all_of(NO_TEXT, first, second) == f"{first}; {second}"
    assert all_of(NO_TEXT, first) is first
    assert all_of() == ""


def test_only_what_is_in_the_table_can_be_said():
    with pytest.raises(KeyError):
        node_text("not_there")
    with pytest.raises(KeyError):
        node_text("no_frame")


def test_a_node_cannot_name_words_that_are_not_a_nodes():
    """Else a node could have the screen say that an alarm is over."""
    assert nested("detail", "x", Worded("alarm.node_silent", {"node": "n"})) == {"detail": "x"}
    assert nested("detail", "x", Worded("node_says.no_picture")) == {"detail": "x", "detail|key": "node_says.no_picture"}
    assert nested("detail", "what an older node says", None) == {"detail": "what an older node says"}


def health(**changes):
    values = {
        "at_ns": 1, "uptime_s": 1.0, "frames_in": 0, "frames_dropped": 0, "frames_per_s": 0.0, "stage_ms": {},
        "outbox_depth": 0, "outbox_dropped": 0, "detections_sent": 0, "disk_free_mb": 1.0, "memory_mb": 1.0,
        "time_quality": TimeQuality.NTP, "position_trusted": True,
    }
    return NodeHealth(**values | changes)


def test_words_cross_the_wire_and_what_an_older_node_sends_is_taken_without_them():
    said = node_text("no_frame", seconds=20)
    report = SensorReport("gate-1", 1, Position(16.6, 106.6, HeightMsl(200.0)), (), SensorState.BLIND, 1, False, str(said))
    new = msgspec.structs.replace(report, detail_words=said.worded)
    for body in (new, health(problems=(str(said),), problem_words=(said.worded,), position_words=said.worded)):
        assert decode_envelope(encode_envelope(Envelope("n", 1, 1, body))).body == body
    for body in (report, health(problems=(str(said),)), OrderResult("1", False, str(said))):
        old = msgspec.to_builtins(Envelope("n", 1, 1, body))
        for name in ("detail_words", "problem_words", "position_words", "key", "params"):
            old["body"].pop(name, None)
        taken = decode_envelope(msgspec.msgpack.encode(old)).body
        assert taken == body
        assert str(said) in (getattr(taken, "detail", ""), *getattr(taken, "problems", ()))


def test_a_text_is_bounded():
    assert len(NodeText("x" * 100_000)) == 2_000
