"""The sector's rules about contacts: each speaks when it should, says why, and a contact stays one alarm."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofences.sector import Sector, load_sector
from station.alarm_settings import AlarmSettings, Direction, MeasuredBy, RuleKind, RuleSettings, load_alarm_settings
from station.alarms import Alarm, Decision, decide
from station.contacts import Contact, contact_from
from station.fusion import Fusion
from station.fusion_frames import Seen, SensorFrame
from station.picture import AlarmState
from station.rules import AlarmDesk
from station.sentences import SENTENCES
from wire.clock import NS_PER_S
from wire.settings import SettingsError
from wire.units import ObjectClass

SECTOR_FILE = Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml"
SECTOR = load_sector(SECTOR_FILE)
NIGHT = 1_780_002_000 * NS_PER_S            # 04:00 in Lao Bao
ENTRY = RuleSettings("corridor_entry", RuleKind.CORRIDOR_ENTRY)
K = RuleKind


class Watch:
    """Fusion and a desk with the rules of the test; somebody walks where the test says."""

    def __init__(self, *rules: RuleSettings, sector: Sector = SECTOR, party: int = 1) -> None:
        self.sector = sector
        self.fusion = Fusion(sector.corridors)
        self.party = party
        self.desk = AlarmDesk(sector, settings=AlarmSettings(rules=rules), party_of=lambda contact: self.party)
        self.now_ns = NIGHT

    def walk(
        self, where: Callable[[float], tuple[float, float]], seconds: float, track: str = "1",
        kind: ObjectClass = ObjectClass.PERSON, sigma_m: float = 1.0, start_ns: int | None = None,
    ) -> None:
        """where: seconds since the beginning to metres east and north. Seen twice a second."""
        begin_ns = self.now_ns if start_ns is None else start_ns
        for i in range(int(seconds * 2)):
            self.now_ns = begin_ns + i * NS_PER_S // 2
            seen = Seen(track, kind, 0.8, np.array(where(i / 2)), np.eye(2) * sigma_m**2, None)
            touched, _ = self.fusion.observe(SensorFrame("a", self.now_ns, self.now_ns, True, (seen,)))
            for contact in touched:
                self.desk.judge(contact, self.now_ns)

    @property
    def alarms(self) -> list[Alarm]:
        return [a for _, a in sorted(self.desk.open.items())]

    @property
    def contact(self) -> Contact:
        return next(iter(self.fusion.contacts.values()))


def on_trail(along_m: float, corridor: str = "khe-da") -> tuple[float, float]:
    p = SECTOR.corridors.ground(corridor).centre_line.interpolate(along_m)
    return p.x, p.y


def outbound(start_m: float = 300.0, speed: float = 1.4) -> Callable[[float], tuple[float, float]]:
    """Khe Da begins at the border: going back along it is going out."""
    return lambda t: on_trail(start_m - speed * t)


def inbound(start_m: float = 100.0, speed: float = 1.4) -> Callable[[float], tuple[float, float]]:
    return lambda t: on_trail(start_m + speed * t)


def says(alarm: Alarm) -> list[str]:
    """Its headline and its reasons; every one is in the catalogue, with all its parameters."""
    for sentence in (alarm.says, *alarm.why):
        SENTENCES[sentence.key].format(**sentence.params)
    return [alarm.says.key, *(s.key for s in alarm.why)]


# ---------------------------------------------------------------------------------------------------------- direction


@pytest.mark.parametrize("measured", list(MeasuredBy))
@pytest.mark.parametrize(("direction", "way"), [(Direction.OUTBOUND, outbound()), (Direction.INBOUND, inbound())])
def test_outbound_and_inbound_are_found_alike(measured, direction, way) -> None:
    for wanted in Direction:
        watch = Watch(RuleSettings("dir", K.DIRECTION, direction=wanted, measured_by=measured))
        watch.walk(way, 40)
        assert len(watch.alarms) == (1 if wanted is direction else 0)
        for alarm in watch.alarms:
            assert alarm.says.params["direction"] == direction.value
            expected = "alarm.why.direction_corridor" if measured is MeasuredBy.CORRIDOR else "alarm.why.direction"
            assert expected in says(alarm)


@given(st.floats(150.0, 900.0), st.floats(0.9, 2.0), st.sampled_from(list(MeasuredBy)))
@hypothesis_settings(max_examples=15, deadline=None)
def test_a_mirrored_walk_gives_the_mirrored_direction(start_m, speed, measured) -> None:
    """Neither direction is a special case: what one walk is for outbound, the same walk back is for inbound."""
    found = []
    for sign in (-1.0, 1.0):
        watch = Watch(
            RuleSettings("out", K.DIRECTION, direction=Direction.OUTBOUND, measured_by=measured),
            RuleSettings("in", K.DIRECTION, direction=Direction.INBOUND, measured_by=measured),
        )
        begin_m = start_m if sign > 0 else start_m + speed * 40
        watch.walk(lambda t, b=begin_m, s=sign: on_trail(b + s * speed * t), 40)
        found.append([a.rules for a in watch.alarms])
    assert found == [[["out"]], [["in"]]]


def test_somebody_who_stands_has_no_direction_however_bad_his_place_is() -> None:
    watch = Watch(*(RuleSettings(d.value, K.DIRECTION, direction=d) for d in Direction))
    random = np.random.default_rng(3)
    east, north = on_trail(200)
    watch.walk(lambda t: (east + random.normal(0, 5), north + random.normal(0, 5)), 120, sigma_m=5.0)
    assert watch.alarms == []


# ------------------------------------------------------------------------------------------------ line: approach, crossing


def across(speed: float = 1.5, start_m: float = 45.0) -> Callable[[float], tuple[float, float]]:
    """Straight over the border line where khe-da begins, from our side."""
    here = np.array(on_trail(0.0))
    inland = np.array(on_trail(80.0)) - here
    inland /= np.linalg.norm(inland)
    return lambda t: tuple(here + inland * (start_m - speed * t))


def test_an_approach_of_the_line_says_how_far_and_how_soon() -> None:
    watch = Watch(RuleSettings("near", K.BORDER_APPROACH, 1, border_within_m=150.0, arrives_within_s=300.0))
    watch.walk(outbound(200.0), 60)
    (alarm,) = watch.alarms
    assert says(alarm) == ["alarm.border_approach", "alarm.why.rule", "alarm.why.corridor", "alarm.why.approach"]
    assert alarm.says.params["direction"] == "outbound"
    assert 60 < alarm.says.params["distance_m"] < 200


def test_going_away_from_the_line_or_too_slowly_is_no_approach() -> None:
    rule = RuleSettings("near", K.BORDER_APPROACH, 1, border_within_m=150.0, arrives_within_s=60.0)
    for way in (inbound(40.0), outbound(160.0, 0.6)):
        watch = Watch(rule)
        watch.walk(way, 30)
        assert watch.alarms == []


@pytest.mark.parametrize("direction", list(Direction))
def test_a_crossing_is_told_once_in_the_direction_it_took(direction) -> None:
    watch = Watch(RuleSettings("cross", K.BORDER_CROSSING, 1))
    out, seconds = across(), 80
    watch.walk(out if direction is Direction.OUTBOUND else lambda t: out(seconds - t), seconds)
    (alarm,) = watch.alarms
    assert alarm.says.params["direction"] == direction.value
    assert says(alarm)[0] == "alarm.border_crossing" and "alarm.why.crossing" in says(alarm)


def test_a_rule_for_one_direction_of_crossing_leaves_the_other() -> None:
    watch = Watch(RuleSettings("cross", K.BORDER_CROSSING, 1, direction=Direction.INBOUND))
    watch.walk(across(), 80)
    assert watch.alarms == []


def test_a_jitter_over_the_line_within_the_error_is_no_crossing() -> None:
    watch = Watch(RuleSettings("cross", K.BORDER_CROSSING, 1))
    line = across(1.0, 0.0)
    random = np.random.default_rng(5)
    watch.walk(lambda t: line(random.normal(0, 3.0)), 120, sigma_m=4.0)
    assert watch.alarms == []


def test_one_lost_on_our_side_and_found_beyond_the_line_has_crossed() -> None:
    watch = Watch(ENTRY, RuleSettings("cross", K.BORDER_CROSSING, 1))
    way = across()
    watch.walk(way, 14, track="1")
    lost_ns = watch.now_ns
    watch.fusion = Fusion(SECTOR.corridors, next_number=50)         # nothing of the lost one is left but its alarm
    watch.walk(lambda t: way(t + 40), 20, track="2", start_ns=lost_ns + 26 * NS_PER_S)
    (alarm,) = watch.alarms
    assert alarm.rules == ["corridor_entry", "cross"] and alarm.says.key == "alarm.border_crossing"


# -------------------------------------------------------------------------------------------------- the other conditions


def test_a_party_is_told_with_its_size() -> None:
    watch = Watch(RuleSettings("party", K.PARTY, party_at_least=4), party=3)
    watch.walk(inbound(), 10)
    assert watch.alarms == []
    watch.party = 5
    watch.walk(inbound(), 10)
    (alarm,) = watch.alarms
    assert alarm.says.params["party"] == 5 and "alarm.why.party" in says(alarm)


def test_loitering_counts_from_where_it_began_to_stay() -> None:
    watch = Watch(RuleSettings("wait", K.LOITERING, 2, within_m=25.0, for_s=120.0))
    watch.walk(lambda t: on_trail(200 + 10 * math.sin(t / 9)), 115)
    assert watch.alarms == []
    watch.walk(lambda t: on_trail(200 + 10 * math.sin((t + 115) / 9)), 20, start_ns=watch.now_ns + NS_PER_S // 2)
    (alarm,) = watch.alarms
    assert alarm.says.params["minutes"] == 2
    walker = Watch(RuleSettings("wait", K.LOITERING, 2, within_m=25.0, for_s=60.0))
    walker.walk(inbound(), 150)
    assert walker.alarms == []


def test_speed_must_be_sure_and_must_last() -> None:
    rule = RuleSettings("fast", K.SPEED, 2, speed_at_least_m_s=10.0, for_s=5.0)
    fast, slow = Watch(rule), Watch(rule)
    fast.walk(inbound(30.0, 14.0), 25, kind=ObjectClass.MOTORCYCLE)
    slow.walk(inbound(30.0, 7.0), 25, kind=ObjectClass.MOTORCYCLE)
    (alarm,) = fast.alarms
    assert 40 < alarm.says.params["speed_km_h"] < 60 and slow.alarms == []


def test_classes_and_hours_narrow_a_rule() -> None:
    for rule, expected in (
        (RuleSettings("x", K.CORRIDOR_ENTRY, classes=(ObjectClass.BOAT,)), 0),
        (RuleSettings("x", K.CORRIDOR_ENTRY, classes=(ObjectClass.PERSON,)), 1),
        (RuleSettings("x", K.CORRIDOR_ENTRY, hours=("20:00", "05:00")), 1),
        (RuleSettings("x", K.CORRIDOR_ENTRY, hours=("05:00", "20:00")), 0),
        (RuleSettings("x", K.CORRIDOR_ENTRY, corridors=("ben-song",)), 0),
        (RuleSettings("x", K.DIRECTION, 1, direction=Direction.INBOUND, party_at_least=2), 0),
    ):
        watch = Watch(rule)
        watch.walk(inbound(), 30)
        assert len(watch.alarms) == expected, rule
        for alarm in watch.alarms:
            says(alarm)


# --------------------------------------------------------------------------------------------------- one contact, one alarm


def everything() -> tuple[RuleSettings, ...]:
    return load_alarm_settings(SECTOR_FILE, SECTOR).rules


def test_one_who_enters_goes_out_approaches_and_crosses_is_one_alarm_whose_gravest_rule_leads() -> None:
    rules = (
        RuleSettings("entry", K.CORRIDOR_ENTRY, 3), RuleSettings("out", K.DIRECTION, 2, direction=Direction.OUTBOUND),
        RuleSettings("near", K.BORDER_APPROACH, 1, border_within_m=60.0), RuleSettings("cross", K.BORDER_CROSSING, 1),
    )
    watch = Watch(*rules)
    out = across(1.4, 0.0)
    watch.walk(lambda t: on_trail(130 - 1.4 * t) if 1.4 * t < 130 else out(t - 130 / 1.4), 130)
    (alarm,) = watch.alarms
    assert alarm.rules == ["entry", "out", "near", "cross"]
    assert (alarm.priority, alarm.rule, alarm.says.key) == (1, "border_crossing", "alarm.border_crossing")
    assert [e.reason for e in alarm.events] == ["", "also out", "also near", "also cross"]


def test_a_taken_alarm_asks_again_when_it_becomes_graver_and_only_then() -> None:
    watch = Watch(
        RuleSettings("entry", K.CORRIDOR_ENTRY, 2), RuleSettings("out", K.DIRECTION, 2, direction=Direction.OUTBOUND),
        RuleSettings("near", K.BORDER_APPROACH, 1, border_within_m=60.0),
        RuleSettings("cross", K.BORDER_CROSSING, 1, asks_again=True),
    )
    out = across(1.4, 0.0)

    def way(t: float) -> tuple[float, float]:
        return on_trail(130 - 1.4 * t) if 1.4 * t < 130 else out(t - 130 / 1.4)

    watch.walk(way, 3)
    (alarm,) = watch.alarms
    assert decide(alarm, Decision(AlarmState.SHELVED, "lan", "60"), watch.now_ns) is None
    watch.walk(lambda t: way(t + 3), 30, start_ns=watch.now_ns + NS_PER_S // 2)
    assert alarm.state is AlarmState.SHELVED and alarm.rules == ["entry", "out"], "no graver: it stays where it was put"
    watch.walk(lambda t: way(t + 33), 45, start_ns=watch.now_ns + NS_PER_S // 2)
    assert (alarm.state, alarm.priority, alarm.events[-1].reason) == (AlarmState.ACTIVE, 1, "worse near")
    assert decide(alarm, Decision(AlarmState.ACKNOWLEDGED, "lan", ""), watch.now_ns) is None
    watch.walk(lambda t: way(t + 78), 50, start_ns=watch.now_ns + NS_PER_S // 2)
    assert (alarm.state, alarm.events[-1].reason) == (AlarmState.ACTIVE, "worse cross")
    assert watch.alarms == [alarm]


def test_after_a_closed_alarm_the_same_contact_raises_a_new_one_only_for_what_is_new() -> None:
    watch = Watch(RuleSettings("entry", K.CORRIDOR_ENTRY, 2), RuleSettings("cross", K.BORDER_CROSSING, 1))
    way = across()
    watch.walk(way, 10)
    assert decide(watch.alarms[0], Decision(AlarmState.CLOSED, "lan", "lawful"), watch.now_ns) is None
    watch.walk(lambda t: way(t + 10), 5, start_ns=watch.now_ns + NS_PER_S // 2)
    assert len(watch.alarms) == 1
    watch.walk(lambda t: way(t + 15), 60, start_ns=watch.now_ns + NS_PER_S // 2)
    assert [a.rules for a in watch.alarms] == [["entry"], ["cross"]]


@given(
    st.lists(st.tuples(st.floats(0, 900), st.floats(-2, 2), st.integers(3, 40)), min_size=1, max_size=5),
    st.integers(0, 2**32 - 1),
)
@hypothesis_settings(max_examples=25, deadline=None)
def test_whatever_a_contact_does_it_has_one_open_alarm_at_most_and_its_priority_never_falls(legs, seed) -> None:
    watch = Watch(*everything())
    random = np.random.default_rng(seed)
    at_m, lowest = legs[0][0], 4
    for _, speed, seconds in legs:
        watch.walk(
            lambda t, a=at_m, s=speed: tuple(np.add(on_trail(a + s * t), random.normal(0, 0.7, 2))), seconds,
            start_ns=watch.now_ns + NS_PER_S // 2,
        )
        at_m += speed * seconds
        for contact in watch.fusion.contacts.values():
            about = [a for a in watch.alarms if a.is_open and contact.number in a.contacts]
            assert len(about) <= 1
        if watch.alarms:
            assert watch.alarms[0].priority <= lowest
            lowest = watch.alarms[0].priority
            says(watch.alarms[0])


@given(st.integers(2, 50))
@hypothesis_settings(max_examples=15, deadline=None)
def test_a_mind_killed_in_the_middle_comes_to_the_same_alarms(cut) -> None:
    """Contact and alarms go through the disk's own form at a moment of hypothesis' choice."""
    import msgspec

    from station.contacts import ContactState

    way = across()
    plain, cut_one = Watch(*everything()), Watch(*everything())
    plain.walk(way, 60)
    cut_one.walk(way, cut)
    states = [msgspec.msgpack.decode(msgspec.msgpack.encode(c.to_state()), type=ContactState)
              for c in cut_one.fusion.contacts.values()]
    kept = [msgspec.msgpack.decode(msgspec.msgpack.encode(a), type=Alarm) for a in cut_one.alarms]
    cut_one.fusion = Fusion(SECTOR.corridors, [contact_from(s, []) for s in states], cut_one.fusion.next_number)
    cut_one.desk = AlarmDesk(
        SECTOR, kept, cut_one.desk.next_number, AlarmSettings(rules=everything()), lambda contact: 1
    )
    cut_one.desk.recall(cut_one.fusion.contacts.values())
    cut_one.walk(lambda t: way(t + cut), 60 - cut, start_ns=NIGHT + cut * NS_PER_S)
    assert [(a.rules, a.priority, a.says.key) for a in plain.alarms] == [
        (a.rules, a.priority, a.says.key) for a in cut_one.alarms
    ]


# ------------------------------------------------------------------------------------------------------------ the file


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ('[[rules]]\nid = "x"\nkind = "direction"\n', "alarms.toml:1: rules.0.direction", '"outbound" or "inbound"'),
        ('[[rules]]\nid = "x"\nkind = "corridor_entry"\ncorridors = ["khe-do"]\n', "alarms.toml:4: rules.0.corridors",
         "khe-da"),
        ('[[rules]]\nid = "x"\nkind = "party"\n', "rules.0.party_at_least", "2 or more"),
        ('[[rules]]\nid = "X y"\nkind = "corridor_entry"\n', "alarms.toml:2: rules.0.id", "small letters"),
        ('[[rules]]\nid = "x"\nkind = "border_crossing"\n', "rules.0.priority", "give 1, 2 or 3"),
        ('[[rules]]\nid = "x"\nkind = "corridor_entry"\nhours = ["20:00", "25:00"]\n', "alarms.toml:4: rules.0.hours",
         "HH:MM"),
        ('[[rules]]\nid = "x"\nkind = "corridor_entry"\n[[rules]]\nid = "x"\nkind = "party"\nparty_at_least = 3\n',
         "alarms.toml:5: rules.1.id", "taken"),
        ('[[rules]]\nid = "x"\nkind = "loitering"\nwithin_m = 20.0\n', "rules.0.for_s", "within_m and for_s"),
        ('[[rules]]\nid = "x"\nkind = "corridor_entry"\ncolour = "red"\n', "alarms.toml:4: rules.0.colour", "unknown"),
        ("[escalation]\npriority_1_s = []\n", "alarms.toml:2: escalation.priority_1_s", "always goes to the supervisor"),
        ("[escalation]\npriority_1_s = [60.0, 30.0]\n", "alarms.toml:2: escalation.priority_1_s", "grow"),
        ("[technical.no_coverage]\npriority = 4\n", "alarms.toml:2: technical.no_coverage.priority", "2 or 3"),
        ("[flood]\nalarms = 1\n", "alarms.toml:2: flood.alarms", "10"),
    ],
)
def test_a_bad_rule_is_refused_with_file_line_key_and_what_to_give(tmp_path, text, where, expected) -> None:
    (tmp_path / "alarms.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_alarm_settings(tmp_path / "sector.toml", SECTOR)
    assert where in str(refused.value) and expected in str(refused.value)


def test_the_demo_sectors_rules_are_good_and_hold_both_directions() -> None:
    rules = everything()
    assert {r.kind for r in rules} == set(RuleKind)
    out, back = ([r for r in rules if r.direction is d] for d in Direction)
    assert [(r.priority, r.hours, r.classes) for r in out] == [(r.priority, r.hours, r.classes) for r in back]


def test_the_guides_examples_are_good_and_there_is_one_of_each_kind(tmp_path) -> None:
    guide = (SECTOR_FILE.parents[3] / "docs" / "administrator.md").read_text(encoding="utf-8")
    section = guide.split("## Alarm rules")[1].split("\n## ")[0]
    (tmp_path / "alarms.toml").write_text(section.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    settings = load_alarm_settings(tmp_path / "sector.toml", SECTOR)
    assert {r.kind for r in settings.rules} == set(RuleKind)
    assert settings.technical.no_coverage.allows_s("ben-song", 2) == 3600.0
