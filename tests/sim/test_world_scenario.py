"""Every scenario that is shipped can be played, and a broken one says where and what to do."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
import shapely

from geofences.sector import load_sector
from sim.world import World
from sim.world_scenario import load_scenario
from sim.world_state import DETECTED_AS, Kind, Landscape, Plants, Role
from wire.settings import SettingsError

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs/worlds").glob("*.toml"))
DEMO_CAMERAS = {"camera-1": "khe-da", "camera-2": "ben-song"}
PARTY = """
[[actors]]
name = "party"
kind = "person"
role = "crosser"
count = 3
at = { on = "trail", at_m = 50.0 }
script = [{ do = "follow_trail", trail = "trail", to_m = 400.0 }]
"""


@pytest.fixture(scope="module")
def laobao():
    return load_sector(ROOT / "configs/sectors/laobao/sector.toml")


@pytest.fixture(scope="module")
def flat_of():
    """A landscape with the scenario's own lines on level ground: enough to walk on, and made in no time."""

    def make(scenario):
        from geofences.terrain import GridTerrain

        none = np.empty(0)
        return Landscape(
            seed=1, terrain=GridTerrain(np.full((2, 2), 160.0), (-7000.0, -7000.0), 14000.0, 0.0, synthetic=True),
            cover=np.zeros((2, 2), np.uint8), cover_south_west_m=(-7000.0, -7000.0), cover_step_m=14000.0,
            plants=Plants(np.empty(0, np.uint8), none, none, none, none, np.empty(0, np.uint32)),
            trails=scenario.lines, roads={}, river=np.array([[0.0, -6000.0], [0.0, -5000.0]]), river_width_m=20.0,
            water_msl_m=np.array([150.0, 150.0]),
        )

    return make


@pytest.mark.parametrize("file", SHIPPED, ids=lambda f: f.stem)
def test_every_shipped_scenario_is_played_for_ten_minutes_without_a_jump(file, laobao, flat_of):
    scenario = load_scenario(file, laobao)
    assert scenario.settings.name == file.stem
    world = World(scenario, flat_of(scenario), 0)
    before = {}
    most = 0
    for step in range(1200):
        moment = world.moment_at(step * 0.5)
        now = {s.actor.id: s for s in moment.actors}
        for i in now.keys() & before.keys():
            moved = math.hypot(now[i].east_m - before[i].east_m, now[i].north_m - before[i].north_m)
            # 60 km/h, or 15 of a person, with a third for coming over.
            assert moved < (2.9 if now[i].actor.kind is Kind.PERSON and not now[i].aboard else 11.5), (now[i], moment.t_s)
        box = laobao.box.buffer(60.0)
        if step % 40 == 0:
            assert all(box.contains(shapely.Point(s.east_m, s.north_m)) for s in moment.actors)
        before = now
        most = max(most, len(now))
    assert most >= 10


def test_an_innocent_scenario_has_no_crosser_and_no_subject(laobao):
    scenario = load_scenario(ROOT / "configs/worlds/innocent.toml", laobao)
    assert not {a.role for a in scenario.settings.actors} & {Role.CROSSER, Role.SUBJECT}
    assert len({a.kind for a in scenario.settings.actors}) >= 5


@pytest.mark.parametrize("file", [f for f in SHIPPED if f.stem != "innocent"], ids=lambda f: f.stem)
def test_every_other_scenario_has_a_crossing(file, laobao):
    assert Role.CROSSER in {a.role for a in load_scenario(file, laobao).settings.actors}


def test_the_demo_s_cameras_have_the_crossing_and_the_pickup_before_them_in_the_first_minute_and_a_half(laobao, flat_of):
    """By the demo's own camera files: within the width of their pictures, 11 to 90 m away, and inside the corridor."""
    import tomllib

    scenario = load_scenario(ROOT / "configs/worlds/dusk.toml", laobao)
    world = World(scenario, flat_of(scenario), 0)
    cameras = {}
    for name in DEMO_CAMERAS:
        c = tomllib.loads((ROOT / f"configs/demo/world/{name}.toml").read_text(encoding="utf-8"))["camera"]
        half_deg = math.degrees(math.atan(c["lens"]["width_px"] / 2 / c["lens"]["fx_px"]))
        cameras[name] = (laobao.frame.to_enu(*c["position"])[0], c["yaw_deg"], half_deg - 1.0)
    seen = {name: {} for name in cameras}
    for t_s in range(10, 91):
        for s in world.moment_at(float(t_s)).actors:
            for name, (at, yaw, half_deg) in cameras.items():
                de, dn = s.east_m - at[0], s.north_m - at[1]
                off = (math.degrees(math.atan2(de, dn)) - yaw + 180) % 360 - 180
                if abs(off) < half_deg and 11.0 < math.hypot(de, dn) < 90.0:
                    key = (s.actor.role, s.actor.kind)
                    seen[name].setdefault(key, {}).setdefault(s.actor.id, []).append(t_s)
                    if s.actor.role is Role.CROSSER:
                        assert DEMO_CAMERAS[name] in laobao.corridors.containing((s.east_m, s.north_m))
    party = seen["camera-1"][Role.CROSSER, Kind.PERSON]
    assert len(party) >= 3
    assert all(len(times) >= 15 for times in list(party.values())[:3])
    assert (Role.FARMER, Kind.PERSON) in seen["camera-1"]
    assert (Role.ANIMAL, Kind.BUFFALO) in seen["camera-1"]
    assert len(next(iter(seen["camera-2"][Role.SUBJECT, Kind.PICKUP].values()))) >= 30
    assert (Role.TRAFFIC, Kind.MOTORCYCLE) in seen["camera-2"]
    subject = next(a for a in scenario.settings.actors if a.role is Role.SUBJECT)
    assert subject.looks.plate == "74C-123.45"


def test_the_demo_stays_alive_for_an_hour(laobao):
    scenario = load_scenario(ROOT / "configs/worlds/dusk.toml", laobao)
    s = scenario.settings
    assert s.lasts_s >= 3600
    entries = sorted(
        a.enters_s + k * a.every_s
        for a in s.actors if a.role is Role.CROSSER and a.kind is Kind.PERSON
        for k in range(int((s.lasts_s - a.enters_s) / a.every_s) + 1 if a.every_s else 1)
    )
    assert np.diff([0.0, *entries, s.lasts_s]).max() <= 300.0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('kind = "person"', 'kind = "ghost"', "actors.0.kind: Invalid enum value 'ghost'"),
        ("count = 3", "count = 0", 'actors.0.count: "party": 0: give 1 to 40'),
        ("count = 3", "cuont = 3", "actors.0.cuont: Object contains unknown field `cuont`"),
        ('trail = "trail", to_m', 'trail = "path", to_m', 'follow_trail: there is no trail or road "path"; there are'),
        ("to_m = 400.0", "to_m = 90000.0", 'follow_trail: 90000 m: "trail" goes from 0 to'),
        ('do = "follow_trail"', 'do = "fly_away"', "Invalid value 'fly_away'"),
        ('{ do = "follow_trail", trail = "trail", to_m = 400.0 }',
         '{ do = "drive", road = "trail", to_m = 9.0, speed_kmh = 9.0 }',
         "drive: a person cannot do that; it is for motorcycle"),
        ('{ do = "follow_trail", trail = "trail", to_m = 400.0 }', '{ do = "board", boat = "ark" }',
         'board: "ark" is the name of nobody here'),
        ('{ do = "follow_trail", trail = "trail", to_m = 400.0 }', '{ do = "board", boat = "party" }',
         'board: "party" is a person, not a boat'),
        ('{ do = "follow_trail", trail = "trail", to_m = 400.0 }', '{ do = "repeat", script = [] }', "its script is empty"),
        ('{ do = "follow_trail", trail = "trail", to_m = 400.0 }', '{ do = "wait", seconds = -1.0 }',
         "seconds is -1; give 0 to"),
        ('{ do = "follow_trail", trail = "trail", to_m = 400.0 }',
         '{ do = "avoid_drone", script = [{ do = "go_to", to = { position = [10.0, 100.0] } }] }',
         'act 2, go_to: [10.0, 100.0] lies outside the box of sector "small"'),
        ("at = { on", 'at = { position = [16.62, 106.6], on', "a place is either position"),
    ],
)
def test_a_broken_scenario_names_file_line_key_and_remedy(scenario_of, old, new, says):
    assert old in PARTY
    text = PARTY.replace(old, new, 1)
    with pytest.raises(SettingsError) as error:
        scenario_of(text)
    message = str(error.value)
    assert says in message
    assert ".toml:" in message
    assert int(message.split(".toml:")[1].split(":")[0]) >= 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[weather]]\nat_s = 0.0\ncloud = 3.0\n", "weather.0.cloud: 3.0: give 0 (clear) to 1"),
        ("[[weather]]\nat_s = 5.0\n[[weather]]\nat_s = 5.0\n", "weather.1.at_s: 5.0: must come after the one before"),
        ("[[weather]]\nvisibility_m = 1.0\n", "weather.0.visibility_m: 1.0: give 20"),
    ],
)
def test_impossible_weather_is_refused(scenario_of, text, says):
    with pytest.raises(SettingsError, match=says.replace("(", r"\(").replace(")", r"\)")):
        scenario_of(text)


def test_a_date_without_its_offset_is_refused(scenario_of):
    with pytest.raises(SettingsError, match="say the offset from UTC as well"):
        scenario_of(PARTY, starts="2026-11-24T16:50:00")


def test_a_name_that_is_taken_is_refused(scenario_of):
    with pytest.raises(SettingsError, match='"party" is taken by an earlier actor'):
        scenario_of(PARTY + PARTY)


def test_every_kind_that_a_scenario_may_name_is_known_to_the_scoring():
    assert set(DETECTED_AS) == set(Kind)
    assert msgspec.to_builtins(Kind.PICKUP) == "pickup"


def test_the_manual_names_every_act_gait_and_shipped_scenario():
    import typing

    from sim import world_settings

    text = (ROOT / "configs/worlds/README.md").read_text(encoding="utf-8")
    words = [a.__struct_config__.tag for a in typing.get_args(world_settings.AnyAct)]
    assert len(words) == 19
    assert [w for w in words if f"`{w}`" not in text] == []
    assert [g for g in typing.get_args(world_settings.GaitName) if g not in text] == []
    assert [f.name for f in SHIPPED if f"`{f.name}`" not in text] == []
