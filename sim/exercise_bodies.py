"""What an actor of the world would cover in a picture, from its measures alone: the truth that simulated eyes work with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from edge.bodies import PLAN_M
from geofences.geodesy import Array
from sim.detector_model import LOW
from sim.truth_sight import Sight
from sim.world_state import DETECTED_AS, ActorState, Kind, Posture

# Metres above the ground. People: ANSUR and the postures of sim.people_pose; machines: of 0 A.D.'s meshes as sim.vehicles
# scales them, to a tenth; a boat with people sitting in it.
STANDING_M = 1.66
CHILD_M = 1.28
POSTURE_M = {
    Posture.CROUCH: 0.95, Posture.CROUCH_WALK: 1.05, Posture.REST: 0.85, Posture.LIE: 0.35, Posture.WORK: 1.15,
    Posture.RUN: 1.6,
}
HEIGHT_M = {
    Kind.BICYCLE: 1.6, Kind.MOTORCYCLE: 1.55, Kind.CAR: 1.5, Kind.PICKUP: 1.8, Kind.TRUCK: 2.7, Kind.BUS: 3.0,
    Kind.BOAT: 1.2, Kind.DOG: 0.6, Kind.BUFFALO: 1.5, Kind.BIRD: 0.3,
}
ANIMAL_PLAN_M = {Kind.DOG: (0.9, 0.3), Kind.BUFFALO: (2.3, 0.8), Kind.BIRD: (0.3, 0.9)}
LYING_M = 1.7
INSIDE = (Kind.CAR, Kind.PICKUP, Kind.TRUCK, Kind.BUS)          # who is aboard of these is not seen
MOVED_M = 0.35                  # by which an actor moves before its line of sight is drawn anew
HIDES = 0.5                     # of a box behind a nearer one


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """n actors in one picture, near ones first. boxes: (n, 4) pixels, whole, even beyond the edge. visible: (n,) 0 to 1."""

    states: tuple[ActorState, ...]
    boxes: Array
    visible: Array
    distance_m: Array
    depression_deg: Array


def height_of(state: ActorState) -> float:
    kind = state.actor.kind
    if kind is not Kind.PERSON:
        return HEIGHT_M[kind]
    standing = CHILD_M if state.actor.looks.age == "child" else STANDING_M
    return standing * POSTURE_M.get(state.posture, STANDING_M) / STANDING_M


def _plan(state: ActorState) -> tuple[float, float]:
    """Length and width."""
    kind = state.actor.kind
    if kind in ANIMAL_PLAN_M:
        return ANIMAL_PLAN_M[kind]
    if state.posture is Posture.LIE:
        return LYING_M, 0.5
    what = DETECTED_AS[kind]
    assert what is not None
    length, width, _ = PLAN_M[what]
    return length, width


class Viewer:
    """Finds who is in the picture of one camera, and how much of each can be seen past ground, plants and each other."""

    def __init__(self, sight: Sight, lens: Lens, reach_m: float) -> None:
        self._sight = sight
        self._lens = lens
        self._reach_m = reach_m * 1.3
        self._lines: dict[int, tuple[Array, Array, float]] = {}     # by actor: where the lens and it were, and what showed

    def look(self, states: tuple[ActorState, ...], pose: Pose) -> Seen:
        aboard = {s.actor.id: s.actor.kind for s in states}
        there = [s for s in states if aboard.get(s.aboard) not in INSIDE]
        if there:
            places = np.array([(s.east_m, s.north_m, s.height_msl_m) for s in there])
            away = np.linalg.norm(places - pose.position, axis=1)
            near = np.flatnonzero(away < self._reach_m)
            there = [there[i] for i in near[np.argsort(away[near], kind="stable")].tolist()]
        if not there:
            return Seen((), np.empty((0, 4)), np.empty(0), np.empty(0), np.empty(0))
        places = np.array([(s.east_m, s.north_m, s.height_msl_m) for s in there])
        boxes = _boxes(there, places, pose, self._lens)
        inside = (
            np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > 2) & (boxes[:, 0] < self._lens.width_px - 2)
            & (boxes[:, 3] > 2) & (boxes[:, 1] < self._lens.height_px - 2)
        )
        index = np.flatnonzero(inside)
        kept = [there[i] for i in index.tolist()]
        boxes, places = boxes[index], places[index]
        visible = np.array([self._shows(s, p, pose) for s, p in zip(kept, places, strict=True)])
        for i in range(1, len(kept)):
            covered = max((_covered(boxes[i], boxes[j]) for j in range(i)), default=0.0)
            visible[i] *= 1.0 - covered if covered < HIDES else 0.0
        flat = np.hypot(places[:, 0] - pose.east_m, places[:, 1] - pose.north_m)
        down = np.degrees(np.arctan2(pose.height_msl_m - places[:, 2] - 0.8, np.maximum(flat, 0.1)))
        away = np.linalg.norm(places - pose.position, axis=1) if len(kept) else np.empty(0)
        return Seen(tuple(kept), boxes, visible, away, down)

    def _shows(self, state: ActorState, place: Array, pose: Pose) -> float:
        known = self._lines.get(state.actor.id)
        lens_m = pose.position
        if known is not None and math.dist(known[1], place) < MOVED_M and math.dist(known[0], lens_m) < MOVED_M:
            return known[2]
        height = height_of(state)
        shares = [self._sight.is_clear(lens_m, place + np.array([0.0, 0.0, height * f])) for f in (0.15, 0.5, 0.9)]
        share = sum(shares) / len(shares)
        self._lines[state.actor.id] = (lens_m, place, share)
        return share


def _boxes(states: list[ActorState], places: Array, pose: Pose, lens: Lens) -> Array:
    """(n, 4), NaN for what is behind the camera. The lowest line is where the nearest point meets the ground."""
    n = len(states)
    towards = pose.position[:2] - places[:, :2]
    flat = np.maximum(np.hypot(*towards.T), 1e-6)
    towards = towards / flat[:, None]
    heading = np.radians([s.heading_deg for s in states])
    along = np.column_stack([np.sin(heading), np.cos(heading)])
    cosine, sine = np.abs((towards * along).sum(axis=1)), np.abs(towards[:, 0] * along[:, 1] - towards[:, 1] * along[:, 0])
    plans = np.array([_plan(s) for s in states])
    depth = (plans[:, 0] * cosine + plans[:, 1] * sine) / 2.0
    half = (plans[:, 0] * sine + plans[:, 1] * cosine) / 2.0
    heights = np.array([height_of(s) for s in states])
    across = np.column_stack([-towards[:, 1], towards[:, 0]])
    up = np.column_stack([np.zeros((n, 2)), heights])
    middle = places + up / 2
    foot = places + np.column_stack([towards * depth[:, None], np.zeros(n)])
    back = places + up - np.column_stack([towards * depth[:, None], np.zeros(n)])
    front = places + up + np.column_stack([towards * depth[:, None], np.zeros(n)])
    side = np.column_stack([across * half[:, None], np.zeros(n)])
    px = project(np.vstack([foot, back, front, middle - side, middle + side]), pose, lens).reshape(5, n, 2)
    left, right = np.minimum(px[3, :, 0], px[4, :, 0]), np.maximum(px[3, :, 0], px[4, :, 0])
    top = np.minimum(np.minimum(px[1, :, 1], px[2, :, 1]), px[0, :, 1] - 1.0)
    return np.column_stack([left, top, right, px[0, :, 1]])


def _covered(box: Array, by: Array) -> float:
    """Share of a box that lies behind a nearer one."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    if width <= 0 or height <= 0:
        return 0.0
    return float(width * height / max((box[2] - box[0]) * (box[3] - box[1]), 1e-9))


def is_low(state: ActorState) -> bool:
    return state.posture in LOW
