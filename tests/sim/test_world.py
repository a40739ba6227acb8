"""Nobody jumps, nobody is faster than he can be, and the same scenario always goes the same way."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.landscape_lines import near
from sim.moments import between, decode_moment, encode_moment
from sim.world import STEP_S
from sim.world_state import Kind, Posture, Role

# What no body of a kind may exceed, metres a second; coming over to a way adds up to a third.
FASTEST_MPS = {
    Kind.PERSON: 4.0 * 1.34, Kind.DOG: 3.2, Kind.BUFFALO: 1.3, Kind.BIRD: 26.0, Kind.BOAT: 2.2,
    Kind.MOTORCYCLE: 17.0 * 1.34, Kind.PICKUP: 17.0 * 1.34, Kind.CAR: 17.0 * 1.34,
}
WALK = '{ do = "follow_trail", trail = "trail", to_m = %s, gait = "%s" }'
ACTS = st.one_of(
    st.builds(lambda m, g: WALK % (float(m), g), st.integers(0, 700), st.sampled_from(["walk", "run", "crouch_walk"])),
    st.builds(lambda s: f'{{ do = "wait", seconds = {s}.0, posture = "crouch" }}', st.integers(0, 20)),
    st.builds(lambda m: f'{{ do = "turn_back", metres = {m}.0 }}', st.integers(1, 90)),
    st.builds(lambda m: f'{{ do = "scatter", metres = {m}.0, seconds = 5.0 }}', st.integers(5, 40)),
    st.just('{ do = "regroup", seconds = 20.0 }'),
    st.just('{ do = "drop_pack" }'),
    st.builds(lambda m: f'{{ do = "go_to", to = {{ on = "trail", at_m = {m}.0, aside_m = 12.0 }} }}', st.integers(0, 700)),
    st.builds(lambda s: f'{{ do = "work", seconds = {s}.0 }}', st.integers(1, 30)),
)
SCRIPTS = st.lists(ACTS, min_size=1, max_size=5)


def party(script, count=3, at_m=120.0, name="party", kind="person", role="crosser", extra=""):
    return f"""
[[actors]]
name = "{name}"
kind = "{kind}"
role = "{role}"
count = {count}
at = {{ on = "trail", at_m = {at_m} }}
looks = {{ pack = true }}
{extra}
script = [{", ".join(script)}]
"""


def course(world, seconds, every_s=STEP_S):
    """Moments from the start on."""
    return [world.moment_at(i * every_s) for i in range(int(seconds / every_s) + 1)]


def by_actor(moments):
    """{id: [(t_s, state)]}, in order."""
    ways = {}
    for moment in moments:
        for state in moment.actors:
            ways.setdefault(state.actor.id, []).append((moment.t_s, state))
    return ways


def assert_nobody_jumps(moments):
    for way in by_actor(moments).values():
        for (t0, a), (t1, b) in itertools.pairwise(way):
            moved = math.hypot(b.east_m - a.east_m, b.north_m - a.north_m)
            limit = FASTEST_MPS[a.actor.kind]
            assert moved <= limit * (t1 - t0) + 1e-6, (a, b)
            assert math.hypot(*b.velocity_mps) <= limit + 1e-6


def state_of(moment, name_role):
    return [s for s in moment.actors if s.actor.role is name_role]


# ---------------------------------------------------------------------------------------------------------- properties


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(script=SCRIPTS, count=st.integers(1, 5), at_m=st.integers(0, 600), seed=st.integers(1, 1000))
def test_whatever_people_do_nobody_jumps_or_outruns_himself(world_of, script, count, at_m, seed):
    world = world_of(party([*script, '{ do = "wait", seconds = 3.0 }'], count, float(at_m)), seed=seed)
    assert_nobody_jumps(course(world, 60.0))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(script=SCRIPTS, seed=st.integers(1, 1000), asked=st.lists(st.floats(0.0, 60.0), max_size=30))
def test_the_course_of_things_does_not_depend_on_when_somebody_looks(world_of, script, seed, asked):
    text = party(script, 3)
    unwatched, watched = world_of(text, seed=seed), world_of(text, seed=seed)
    for t_s in sorted(asked):
        watched.moment_at(t_s)
    assert watched.moment_at(60.0) == unwatched.moment_at(60.0)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(to_m=st.integers(0, 700), gait=st.sampled_from(["walk", "run", "crouch_walk"]), seed=st.integers(1, 100))
def test_who_follows_a_trail_stays_on_it(world_of, small_landscape, to_m, gait, seed):
    world = world_of(party([WALK % (float(to_m), gait)], 3, 300.0), seed=seed)
    places = [(s.east_m, s.north_m) for m in course(world, 60.0, 1.0) for s in m.actors]
    assert near(np.array(places), small_landscape.trails["trail"], 0.25)[0].max() < 0.3


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(speeds=st.lists(st.integers(8, 60), min_size=2, max_size=6), stops_m=st.integers(100, 500), seed=st.integers(1, 100))
def test_vehicles_keep_their_distance_whoever_stops_ahead(world_of, speeds, stops_m, seed):
    text = ""
    for i, speed in enumerate(speeds):
        to_m = stops_m if i == 0 else 700
        text += f"""
[[actors]]
name = "v{i}"
kind = "{['car', 'pickup', 'motorcycle'][i % 3]}"
role = "traffic"
enters_s = {i * 4.0}
at = {{ on = "main", at_m = 10.0 }}
script = [
    {{ do = "drive", road = "main", to_m = {to_m}.0, speed_kmh = {speed}.0, aside_m = 1.6 }},
    {{ do = "wait", seconds = 300.0 }},
]
"""
    world = world_of(text, seed=seed)
    on_road = {}
    for _ in range(1200):
        world.advance_to(world.t_s + STEP_S)
        bodies = sorted((b for b in world.bodies if b.actor.kind is not Kind.PERSON), key=lambda b: b.s_m)
        for behind, ahead in itertools.pairwise(bodies):
            assert ahead.s_m - behind.s_m > 1.9, (behind.name, ahead.name)
        for body in bodies:
            before = on_road.get(body.name, 0.0)
            assert -6.1 * STEP_S * 2 - 1e-6 <= body.speed_mps - before <= 1.9 * STEP_S
            on_road[body.name] = body.speed_mps


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(f=st.floats(0, 1), first=st.floats(0, 20), gap=st.floats(0.05, 1.0))
def test_between_two_moments_everything_is_between(world_of, f, first, gap):
    world = world_of(party([WALK % (500.0, "walk")], 2) + party(['{ do = "wait", seconds = 9.0 }'], 1, 50.0, "other"))
    a, b = world.moment_at(first), world.moment_at(first + gap)
    ns = a.utc_ns + round((b.utc_ns - a.utc_ns) * f)
    middle = between(a, b, ns)
    assert middle.utc_ns == ns
    known = {s.actor.id for s in a.actors} | {s.actor.id for s in b.actors}
    assert {s.actor.id for s in middle.actors} <= known
    then = {s.actor.id: s for s in a.actors}
    later = {s.actor.id: s for s in b.actors}
    for s in middle.actors:
        if s.actor.id in then and s.actor.id in later:
            low, high = sorted((then[s.actor.id].east_m, later[s.actor.id].east_m))
            assert low - 1e-9 <= s.east_m <= high + 1e-9
            assert 0.0 <= s.heading_deg < 360.0
            assert 0.0 <= s.phase < 1.0


def test_a_moment_travels_and_arrives_as_it_was(world_of):
    moment = world_of(party([WALK % (500.0, "walk")])).moment_at(7.3)
    assert moment.actors
    assert decode_moment(encode_moment(moment)) == moment


def test_a_moment_of_the_past_is_refused(world_of):
    world = world_of(party([WALK % (500.0, "walk")]))
    world.moment_at(5.0)
    with pytest.raises(ValueError, match="does not go back"):
        world.moment_at(4.0)


# ------------------------------------------------------------------------------------------------------- what they do


def test_a_party_walks_in_its_spacing_at_the_pace_of_its_slowest(world_of):
    world = world_of(party([WALK % (650.0, "walk")], 4, 60.0))
    for t_s in range(30, 200, 10):
        world.advance_to(float(t_s))
        at = sorted(b.s_m for b in world.bodies)
        assert len(at) == 4
        gaps = np.diff(at)
        assert gaps.min() > 1.2
        assert gaps.max() < 5.0


def test_who_waits_for_the_dark_goes_when_it_is(world_of):
    text = party(['{ do = "wait_until_dark", sun_below_deg = -4.0 }', WALK % (600.0, "walk")], 1)
    world = world_of(text, starts="2026-11-24T17:10:00+07:00")
    left_at = None
    for t_s in range(1, 3600, 10):
        moment = world.moment_at(float(t_s))
        if moment.actors[0].posture is Posture.WALK:
            left_at = moment.sky.sun_elevation_deg
            break
        assert moment.actors[0].posture is Posture.REST
    assert left_at == pytest.approx(-4.0, abs=0.1)


def test_a_dropped_pack_is_carried_no_more(world_of):
    world = world_of(party(['{ do = "drop_pack" }', WALK % (600.0, "walk")], 1))
    assert world.moment_at(1.0).actors[0].carries_pack
    after = world.moment_at(8.0).actors[0]
    assert not after.carries_pack
    assert after.actor.looks.pack


def test_who_turns_back_comes_nearer_to_the_border(world_of):
    world = world_of(party([WALK % (200.0, "walk"), '{ do = "turn_back", metres = 80.0 }'], 3, 150.0))
    furthest = 0.0
    while world.bodies:
        furthest = max(furthest, max(b.s_m for b in world.bodies))
        last = [b.s_m for b in world.bodies]
        world.advance_to(world.t_s + STEP_S)
        assert world.t_s < 300
    assert furthest == pytest.approx(200.0, abs=0.5)
    assert min(last) < 130.0


def test_a_party_scatters_apart_and_comes_together_again(world_of):
    acts = ['{ do = "scatter", metres = 30.0, seconds = 8.0 }', '{ do = "regroup" }', WALK % (400.0, "walk")]
    world = world_of(party(acts, 4))

    def widest(t_s):
        at = np.array([(s.east_m, s.north_m) for s in world.moment_at(t_s).actors])
        return float(np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)).max())

    together, apart = widest(0.5), widest(17.0)
    assert apart > 25.0 > together
    assert widest(90.0) < 25.0
    assert world.moment_at(90.0).actors[0].posture is Posture.WALK


def test_who_avoids_the_drone_hides_while_it_is_near_and_then_goes_on(world_of):
    inner = WALK % (600.0, "walk")
    text = party([f'{{ do = "avoid_drone", within_m = 60.0, script = [{inner}] }}'], 1)
    text += party([inner], 1, 90.0, "careless")
    world = world_of(text)

    def fly(seconds, distance_m):
        until = world.t_s + seconds
        while world.t_s < until:
            body = next(b for b in world.bodies if b.name == "party")
            world.tell_drone("drone-1", body.east_m + distance_m, body.north_m, 200.0)
            world.advance_to(world.t_s + STEP_S)
        return {b.name: b for b in world.bodies}

    assert fly(10.0, 200.0)["party"].posture is Posture.WALK
    hidden = fly(15.0, 30.0)
    assert hidden["party"].posture is Posture.CROUCH
    assert hidden["careless"].posture is Posture.WALK
    assert near(np.array([hidden["party"].place]), world.landscape.trails["trail"])[0][0] > 2.5
    assert fly(35.0, 200.0)["party"].posture is Posture.WALK


def test_a_drone_that_is_silent_is_not_there(world_of):
    world = world_of(party([f'{{ do = "avoid_drone", script = [{WALK % (600.0, "walk")}] }}'], 1))
    world.tell_drone("drone-1", *world.bodies[0].place, 180.0)
    world.advance_to(40.0)
    assert world.bodies[0].posture is Posture.WALK


BY_BOAT = """
[[actors]]
name = "sampan"
kind = "boat"
role = "crosser"
at = { on = "trail-beyond", at_m = %(far)s }
script = [
    { do = "wait_for", party = "party", seconds = 200.0 },
    { do = "go_to", to = { on = "trail", at_m = 0.0 } },
    { do = "land" },
    { do = "wait", seconds = 60.0 },
]
[[actors]]
name = "party"
kind = "person"
role = "crosser"
count = 3
at = { on = "trail-beyond", at_m = %(from)s }
script = [
    { do = "follow_trail", trail = "trail-beyond", to_m = %(to)s },
    { do = "board", boat = "sampan" },
    { do = "follow_trail", trail = "trail", to_m = 100.0 },
]
"""


def test_a_party_crosses_the_river_by_boat_dry_and_together(world_of, small_landscape):
    from sim.landscape_lines import lengths_along

    length = float(lengths_along(small_landscape.trails["trail-beyond"])[-1])
    world = world_of(BY_BOAT % {"far": length - 0.2, "from": length - 40.0, "to": length - 3.0})
    moments = course(world, 170.0, 0.5)
    assert_nobody_jumps(moments)
    people = [s for m in moments for s in m.actors if s.actor.kind is Kind.PERSON]
    assert any(s.aboard for s in people)
    river_m, _ = near(np.array([(s.east_m, s.north_m) for s in people]), small_landscape.river)
    for state, distance in zip(people, river_m, strict=True):
        assert distance > small_landscape.river_width_m / 2 - 1.5 or state.aboard, state
        if state.aboard:
            assert state.height_msl_m == pytest.approx(small_landscape.water_msl_m.mean())
    walking = [s for s in moments[-1].actors if s.actor.kind is Kind.PERSON]
    assert all(not s.aboard for s in walking)
    trail = small_landscape.trails["trail"]
    assert all(near(np.array([[s.east_m, s.north_m]]), trail)[0][0] < 1.0 for s in walking)


def test_a_motorbike_brings_its_rider_who_leaves_with_it(world_of):
    text = """
[[actors]]
name = "bike"
kind = "motorcycle"
role = "traffic"
at = { on = "trail", at_m = 300.0 }
script = [{ do = "drive", road = "trail", to_m = 260.0, speed_kmh = 15.0, aside_m = 0.0 }]
"""
    world = world_of(text)
    bike, rider = world.moment_at(3.0).actors
    assert (bike.actor.kind, rider.actor.kind) == (Kind.MOTORCYCLE, Kind.PERSON)
    assert (rider.aboard, rider.posture) == (bike.actor.id, Posture.RIDE)
    assert math.hypot(bike.east_m - rider.east_m, bike.north_m - rider.north_m) < 1.0
    assert world.moment_at(60.0).actors == ()


def test_animals_and_workers_stay_where_they_belong(world_of):
    def here(name, kind, role, act, at_m, extra=""):
        return party([act], 1, at_m, name, kind, role, extra)

    text = here("cow", "buffalo", "animal", '{ do = "graze", seconds = 900.0, radius_m = 10.0 }', 200.0)
    text += here("farmer", "person", "farmer", '{ do = "work", seconds = 900.0, radius_m = 5.0 }', 300.0)
    text += here("boy", "person", "child", '{ do = "herd", animals = "cow", seconds = 900.0 }', 215.0, '')
    text += here("bird", "bird", "animal", '{ do = "fly", seconds = 900.0, radius_m = 40.0, height_m = 20.0 }', 400.0)
    text += here("dog", "dog", "animal", '{ do = "graze", seconds = 900.0, radius_m = 15.0 }', 500.0)
    world = world_of(text)
    start = {s.actor.id: (s.east_m, s.north_m) for s in world.moment_at(0.0).actors}
    moments = course(world, 400.0, 0.5)
    assert_nobody_jumps(moments)
    radius = {"buffalo": 10.1, "farmer": 5.1, "child": 40.0, "bird": 81.0, "dog": 15.1}
    seen = {}
    for moment in moments:
        for s in moment.actors:
            away = math.hypot(s.east_m - start[s.actor.id][0], s.north_m - start[s.actor.id][1])
            word = s.actor.role.value if s.actor.kind is Kind.PERSON else s.actor.kind.value
            assert away < radius[word]
            seen[word] = max(seen.get(word, 0.0), away)
            if s.actor.kind is Kind.BIRD:
                ground = world.landscape.terrain.height_msl_m([[s.east_m, s.north_m]])[0]
                assert 15.0 < s.height_msl_m - ground < 25.0
    assert min(seen.values()) > 2.0         # and they do move


def test_soldiers_patrol_up_and_down(world_of):
    act = '{ do = "patrol", trail = "trail", from_m = 100.0, to_m = 180.0, rounds = 2, pause_s = 2.0 }'
    world = world_of(party([act], 2, 100.0, role="patrol", extra="spacing_m = 3.0"))
    at = []
    while world.bodies:
        at.append(world.bodies[0].s_m)
        world.advance_to(world.t_s + 1.0)
        assert world.t_s < 600
    turns = np.flatnonzero(np.diff(np.sign(np.diff([a for a, b in itertools.pairwise(at) if a != b]))))
    assert len(turns) == 3
    assert max(at) == pytest.approx(180.0, abs=3.5)
    assert min(at) == pytest.approx(100.0, abs=3.5)


def test_who_comes_again_and_again_is_somebody_else_each_time(world_of):
    text = party([WALK % (160.0, "walk")], 2, extra="enters_s = 5.0\nevery_s = 60.0")
    world = world_of(text, lasts_s=200.0)
    ways = by_actor(course(world, 320.0, 1.0))
    assert len(ways) == 2 * 4           # at 5, 65, 125, 185 s
    assert len({s.actor.party for way in ways.values() for _, s in way}) == 4
    assert len({way[0][1].actor.looks.seed for way in ways.values()}) == 8
    assert sorted({round(way[0][0]) for way in ways.values()}) == [5, 65, 125, 185]
    assert all(way[0][1].actor.role is Role.CROSSER for way in ways.values())


def test_ids_do_not_depend_on_who_is_there(world_of):
    lone = party([WALK % (160.0, "walk")], 2)
    more = lone + party([WALK % (500.0, "walk")], 1, 400.0, "late", extra="enters_s = 3.0")
    a, b = world_of(lone).moment_at(2.0), world_of(more).moment_at(2.0)
    assert a.actors == b.actors


COURSE = """
import hashlib, sys
from pathlib import Path
from geofences.sector import load_sector
from sim.moments import encode_moment
from sim.world import World
from sim.world_scenario import load_scenario
scenario = load_scenario(Path(sys.argv[2]), load_sector(Path(sys.argv[1])))
world = World(scenario, scenario.make_landscape(), 0)
print(hashlib.sha256(b"".join(encode_moment(world.moment_at(t * 5.0)) for t in range(20))).hexdigest())
"""


def test_another_process_with_other_hashes_sees_the_same_world(scenario_of, small_sector_file):
    import os
    import subprocess
    import sys
    from pathlib import Path

    by_boat = BY_BOAT.replace('"party"', '"boaters"') % {"far": 40.0, "from": 10.0, "to": 36.0}
    on_foot = party(['{ do = "scatter" }', '{ do = "regroup" }', WALK % (500.0, "run")], 5)
    scenario = scenario_of(on_foot + by_boat)
    digests = {
        subprocess.run(
            [sys.executable, "-c", COURSE, str(small_sector_file), str(scenario.file)], cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64
