"""A night at the demo sector, as the mind would tell it: people on a trail, a lorry, a drone, two alarms and a question."""

from __future__ import annotations

import math
import time
from itertools import pairwise

from fleet.dispatch_words import said
from fleet.preflight_words import item
from station.picture import (
    AlarmEventView,
    AlarmState,
    AlarmView,
    ContactState,
    ContactView,
    Counts,
    DroneView,
    Evidence,
    MatchState,
    MatchView,
    NodeView,
    Picture,
    SensorView,
    Sentence,
    TrailPoint,
)
from wire.flying import (
    DroneTelemetry,
    LinkState,
    Plan,
    Preflight,
    PreflightState,
    TaskPhase,
    TaskState,
    Waypoint,
    WaypointKind,
)
from wire.messages import NodeHealth, SensorState
from wire.node_words import NO_TEXT, node_text
from wire.units import Covariance2, GroundPosition, HeightAgl, HeightMsl, ObjectClass, Position, Realm, TimeQuality

KHE_DA = [(16.62115, 106.59110), (16.62090, 106.59260), (16.62060, 106.59390), (16.62075, 106.59560),
          (16.62180, 106.59760), (16.62235, 106.59980), (16.62225, 106.60230)]
BEN_SONG = [(16.60722, 106.60770), (16.60880, 106.60800), (16.61010, 106.60890), (16.61150, 106.60930),
            (16.61330, 106.60910), (16.61500, 106.60960)]
S = 1_000_000_000
M = 111_195.0       # metres a degree of latitude


def along(line, fraction):
    """Point and heading (degrees) at a fraction of a line's length."""
    parts = []
    for (a, b), (c, d) in pairwise(line):
        parts.append(math.hypot((c - a) * M, (d - b) * M * math.cos(math.radians(a))))
    left = fraction * sum(parts)
    for ((a, b), (c, d)), length in zip(pairwise(line), parts, strict=True):
        if left <= length:
            f = left / length
            heading = math.degrees(math.atan2((d - b) * math.cos(math.radians(a)), c - a)) % 360
            return (a + (c - a) * f, b + (d - b) * f), heading
        left -= length
    return line[-1], 0.0


def offset(point, east_m, north_m):
    return point[0] + north_m / M, point[1] + east_m / (M * math.cos(math.radians(point[0])))


def wedge(at, heading, spread=52.0, near=8.0, far=140.0):
    def ray(angle, distance):
        r = math.radians(angle)
        return GroundPosition(*offset(at, math.sin(r) * distance, math.cos(r) * distance))

    angles = [heading - spread / 2 + spread * i / 10 for i in range(11)]
    return tuple([ray(a, far) for a in angles] + [ray(a, near) for a in reversed(angles)])


def contact(id_, line, fraction, now, *, kind=ObjectClass.PERSON, speed=1.3, age_s=0.6, state=ContactState.LIVE,
            sensors=("gate-1",), corridors=("khe-da",), border_m=412.0, aside=(0.0, 0.0), cov=(6.5, 1.4, 4.1), score=0.87,
            plate=None, why=(), snapshot=None, simulated=True, trail_s=60, back=False):
    point, heading = along(line, fraction)
    if back:
        heading = (heading + 180) % 360
    point = offset(point, *aside)
    length = 1200.0
    trail = []
    for i in range(trail_s, -1, -2):
        f = min(max(fraction - (-1 if back else 1) * i * speed / length, 0.0), 1.0)
        p = offset(along(line, f)[0], aside[0] + 1.5 * math.sin(i * 1.7), aside[1] + 1.2 * math.cos(i * 1.3))
        trail.append(TrailPoint(*p, now - i * S))
    r = math.radians(heading)
    return ContactView(
        id=id_, object_class=kind, state=state, position=GroundPosition(*point), covariance=Covariance2(*cov),
        velocity_m_s=(speed * math.sin(r), speed * math.cos(r)), first_seen_ns=now - trail_s * S,
        last_seen_ns=now - round(age_s * S), detections=trail_s * 8, score=score, sensors=sensors, corridors=corridors,
        border_m=border_m, simulated=simulated, plate=plate, why_merged=why, trail=tuple(trail), snapshot=snapshot,
    )


def alarm(id_, now, *, rule="corridor_entry", priority=1, state=AlarmState.ACTIVE, ago_s=14, says=None, contact_view=None,
          corridor="khe-da", sensor=None, match=None, snapshot=None, events=(), simulated=True):
    raised = now - ago_s * S
    first = AlarmEventView(AlarmState.ACTIVE, raised, "system", "")
    return AlarmView(
        id=id_, rule=rule, priority=priority, state=state, raised_ns=raised, says=says,
        contact=contact_view.id if contact_view else None, corridor=corridor, sensor=sensor, match=match,
        position=contact_view.position if contact_view else None, snapshot=snapshot, simulated=simulated,
        events=(first, *events), contacts=(contact_view.id,) if contact_view else (),
    )


def corridor_entry(kind="person", corridor="Đường mòn Khe Đá"):
    params = {"object_class": kind, "corridor": corridor, "corridor_id": "khe-da", "contact": "K-0412", "contacts": 1}
    return Sentence("alarm.corridor_entry", params)


def health(now, problems=()):
    return NodeHealth(
        at_ns=now - S, uptime_s=5210.0, frames_in=41_820, frames_dropped=12, frames_per_s=8.1,
        stage_ms={"decode": 4.1, "detect": 38.0, "track": 1.1, "geolocate": 0.4}, outbox_depth=0, outbox_dropped=0,
        detections_sent=13_377, disk_free_mb=18_200.0, memory_mb=431.0, time_quality=TimeQuality.NTP, position_trusted=True,
        problems=tuple(problems),
    )


def scene(now=None, snapshots=(None, None, None)):
    now = now or time.time_ns()
    walkers = [
        contact("K-0412", KHE_DA, 0.31, now, sensors=("gate-1", "gate-2"), snapshot=snapshots[0],
                why=(Sentence("contact.why.joined",
                              {"sensor": "gate-2", "others": "gate-1", "distance_m": 2.4, "sigmas": 1.1}),)),
        contact("K-0413", KHE_DA, 0.29, now, aside=(-2, 7), score=0.81, snapshot=snapshots[0], border_m=396.0),
        contact("K-0409", KHE_DA, 0.64, now, age_s=5.4, state=ContactState.COASTING, border_m=774.0, cov=(38, 11, 22),
                aside=(0, -6), score=0.72),
        contact("K-0398", BEN_SONG, 0.44, now, age_s=24, state=ContactState.COASTING, corridors=("ben-song",),
                border_m=208.0, cov=(160, -60, 120), sensors=("gate-2",), score=0.66),
    ]
    lorry = contact("K-0415", BEN_SONG, 0.72, now, kind=ObjectClass.TRUCK, speed=5.2, sensors=("gate-2",),
                    corridors=("ben-song",), border_m=265.0, cov=(14, 3, 9), score=0.91, plate="74C-I23.45",
                    snapshot=snapshots[1], back=True, trail_s=40)
    outside = contact("K-0416", KHE_DA, 0.86, now, kind=ObjectClass.MOTORCYCLE, aside=(60, 130), corridors=(),
                      border_m=980.0, speed=6.0, score=0.58, trail_s=30)
    match = MatchView(
        id="M-31", contact="K-0415", subject="TL-2026-017", lane="enforcement", state=MatchState.QUESTION,
        asked_ns=now - 34 * S, bits=15.1,
        evidence=(
            Evidence("plate", 14.2, Sentence(
                "match.evidence.plate_similar",
                {"listed": "74C-123.45", "read": "74C-I23.45", "times": 9, "equivalents": 1})),
            Evidence("corridor", 1.6, Sentence("match.evidence.corridor_agrees", {"corridor": "ben-song"})),
            Evidence("hour", -0.7, Sentence("match.evidence.hour_differs", {"time": "04:08"})),
        ),
    )
    alarms = (
        alarm("A-0207", now, contact_view=walkers[0], says=corridor_entry(), snapshot=snapshots[0]),
        alarm("A-0206", now, rule="watchlist_match", priority=1, contact_view=lorry, corridor="ben-song", match="M-31",
              says=Sentence("alarm.watchlist_match", {"match": "M-31", "contact": "K-0415", "lane": "enforcement"}),
              ago_s=34, snapshot=snapshots[1]),
        alarm("A-0205", now, priority=2, contact_view=walkers[3], corridor="ben-song", ago_s=129,
              says=corridor_entry(corridor="Lối mòn Bến Sông"), snapshot=snapshots[2]),
        alarm("A-0203", now, rule="sensor_blind", priority=2, corridor=None, sensor="gate-3", ago_s=610,
              says=Sentence("alarm.sensor_blind", {"sensor": "gate-3", "detail": ""}), state=AlarmState.ACKNOWLEDGED,
              events=(AlarmEventView(AlarmState.ACKNOWLEDGED, now - 560 * S, "lan", "Đã báo tổ kỹ thuật"),)),
        alarm("A-0198", now, contact_view=walkers[2], ago_s=1260, says=corridor_entry(), state=AlarmState.ACKNOWLEDGED,
              events=(AlarmEventView(AlarmState.ACKNOWLEDGED, now - 1245 * S, "lan", ""),), snapshot=snapshots[2]),
    )
    cameras = [("gate-1", KHE_DA, 0.25, (-15, 45), 205.0, SensorState.SEEING),
               ("gate-2", BEN_SONG, 0.62, (48, 10), 275.0, SensorState.SEEING),
               ("gate-3", KHE_DA, 0.78, (10, -50), 350.0, SensorState.BLIND),
               ("gate-4", BEN_SONG, 0.22, (-45, 0), 80.0, SensorState.CALIBRATING)]
    sensors = []
    for name, line, fraction, aside, heading, state in cameras:
        at = offset(along(line, fraction)[0], *aside)
        word = node_text("no_frame", seconds=640) if state is SensorState.BLIND else NO_TEXT
        sensors.append(SensorView(
            id=name, node=f"cam-{name[-1]}", position=Position(*at, HeightAgl(6.0)), footprint=wedge(at, heading),
            state=state, state_since_ns=now - 700 * S,
            last_frame_ns=now - (640 * S if state is SensorState.BLIND else S // 8),
            simulated=True, detail=str(word), detail_words=word.worded,
        ))
    cameras_nodes = [
        NodeView(f"cam-{i}", "camera", now - (S // 2 if i != 3 else 25 * S), i == 3, health(now)) for i in (1, 2, 3, 4)
    ]
    nodes = (*cameras_nodes, NodeView("fleet", "fleet", now - S // 4, False, None))
    return Picture(
        realm=Realm.TRAINING, turn=0, at_ns=now, contacts=(*walkers, lorry, outside), alarms=alarms, matches=(match,),
        sensors=tuple(sensors), nodes=nodes, drones=(drone(now),),
        counts=Counts(messages_stored=52_114, detections_stored=13_377, refused={"unknown_key": 2}),
    )


def drone(now, fraction=0.55):
    at, heading = along(KHE_DA, fraction)
    home = GroundPosition(16.62225, 106.60230)
    trail = tuple(TrailPoint(*along(KHE_DA, 1 - (1 - fraction) * i / 40)[0], now - (40 - i) * 2 * S) for i in range(41))
    waypoints = tuple(Waypoint(WaypointKind.WAYPOINT, GroundPosition(*p), 45.0, 6.0) for p in reversed(KHE_DA[1:]))
    took = said("task.joined", drone="drone-1")
    fix = item("position fix", PreflightState.PASS, "fix", figures="14, HDOP 0.7")
    telemetry = DroneTelemetry(
        drone="drone-1", at_ns=now - S // 5, link=LinkState.CONNECTED, heard_age_s=0.2, system_id=11, hardware_id="2a00-31",
        simulated=True, armed=True, mode="AUTO", position=Position(*at, HeightMsl(210.0)), height_above_home_m=45.1,
        ground_speed_m_s=6.0, heading_deg=(heading + 180) % 360, battery_percent=71.0, battery_v=15.4, gps_fix=3,
        mission_item=4, mission_total=7,
    )
    return DroneView(
        "drone-1", telemetry, trail,
        Plan("P-9", "drone-1", 11, "2a00-31", "khe-da", home, waypoints, now - 300 * S),
        Preflight("drone-1", now - 200 * S, PreflightState.PASS, (fix,)),
        TaskState(
            "T-4", "drone-1", "P-9", TaskPhase.EXECUTING, now - 90 * S, took.sentence, key=took.key, params=took.params
        ),
    )
