"""How a body is held: joint angles for each posture and phase of the stride.

Angles are degrees. Limbs hang straight down and the trunk stands upright where every angle is nought; flexion brings a limb
forward, except the knee's, which brings the heel back. Index 0 of a pair is the left, 1 the right. Phase 0 is the left
heel's strike, 0.5 the right's.

The curves of walking follow the sagittal angles of Winter (1991), The Biomechanics and Motor Control of Human Gait, those of
running Novacheck (1998), Gait & Posture 7, both read off to the nearest few degrees at the knots below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from geofences.geodesy import Array
from sim.world_state import Posture

Pair = tuple[float, float]
Knots = tuple[tuple[float, float], ...]

# share of the stride, degrees
WALK_HIP: Knots = ((0.0, 30), (0.12, 25), (0.3, 6), (0.5, -11), (0.6, -4), (0.72, 16), (0.85, 31), (0.93, 33))
WALK_KNEE: Knots = ((0.0, 5), (0.13, 18), (0.28, 10), (0.4, 6), (0.5, 14), (0.6, 38), (0.72, 63), (0.85, 32), (0.95, 4))
WALK_FOOT: Knots = (
    (0.0, 18), (0.08, 1), (0.2, 0), (0.36, 0), (0.5, -24), (0.6, -58), (0.7, -50), (0.82, -12), (0.92, 14),
)
RUN_HIP: Knots = ((0.0, 38), (0.12, 28), (0.3, -8), (0.38, -13), (0.5, 5), (0.65, 48), (0.78, 58), (0.9, 46))
RUN_KNEE: Knots = ((0.0, 18), (0.13, 42), (0.28, 22), (0.38, 20), (0.5, 70), (0.62, 104), (0.75, 84), (0.88, 32))
RUN_FOOT: Knots = ((0.0, 8), (0.12, 0), (0.24, -12), (0.38, -52), (0.5, -85), (0.65, -62), (0.8, -20), (0.92, 8))
SEAT_AHEAD_M, SEAT_UP_M = -0.20, 0.76       # of the saddle that RIDE sits on, from the machine's origin on the ground


@dataclass(frozen=True, slots=True)
class Pose:
    """Joint angles in degrees, and where the body is put.

    foot: pitch of the sole against the ground the body stands on, toes up positive, whatever the leg does. tip: turns the
    whole body forward (90 puts it on its face). roll: turns the tipped body about its long axis. rise_m: of the lowest
    point over the ground. seated: the underside of the pelvis goes to the saddle instead.
    """

    lean: float = 0.0           # of the pelvis, forward
    bend: float = 0.0           # of the spine over the pelvis, forward, shared by three joints
    twist: float = 0.0          # of the spine, to the left
    pelvis_turn: float = 0.0
    nod: float = 0.0            # of neck and head, forward
    look: float = 0.0           # of the head, to the left
    hip: Pair = (0.0, 0.0)
    spread: Pair = (2.0, 2.0)   # of the thighs, outward
    knee: Pair = (3.0, 3.0)
    foot: Pair = (0.0, 0.0)
    toes_out: Pair = (8.0, 8.0)
    shoulder: Pair = (0.0, 0.0)
    raise_: Pair = (9.0, 9.0)   # of the upper arms, outward
    turn: Pair = (0.0, 0.0)     # of the upper arms about themselves, elbows' hinge inward
    elbow: Pair = (14.0, 14.0)
    tip: float = 0.0
    roll: float = 0.0
    rise_m: float = 0.0
    seated: bool = False


def at(knots: Knots, phase: float) -> float:
    """A periodic, smooth curve through knots (share of the stride, degrees) at phase: Catmull-Rom, uneven spacing."""
    phase %= 1.0
    last = len(knots) - 1
    i = max((k for k in range(last + 1) if knots[k][0] <= phase), default=last)
    (x0, y0), (x1, y1) = knots[i], knots[0 if i == last else i + 1]
    span = (x1 - x0) % 1.0 or 1.0
    share = ((phase - x0) % 1.0) / span
    # cubic Hermite with Catmull-Rom slopes, so that the joint neither stops nor jerks at a knot
    (xb, yb), (xa, ya) = knots[i - 1], knots[(i + 2) % (last + 1)]
    slope0 = (y1 - yb) / (((x1 - xb) % 1.0) or 1.0) * span
    slope1 = (ya - y0) / (((xa - x0) % 1.0) or 1.0) * span
    s2, s3 = share * share, share * share * share
    return (2 * s3 - 3 * s2 + 1) * y0 + (s3 - 2 * s2 + share) * slope0 + (3 * s2 - 2 * s3) * y1 + (s3 - s2) * slope1


def _both(knots: Knots, phase: float) -> Pair:
    return at(knots, phase), at(knots, phase + 0.5)


def _walk(phase: float, manner: float) -> Pose:
    swing = math.cos(2.0 * math.pi * phase)
    arms = 17.0 + 10.0 * manner
    return Pose(
        lean=3.0, bend=3.0, twist=7.0 * swing, pelvis_turn=-5.0 * swing, nod=4.0,
        hip=_both(WALK_HIP, phase), knee=_both(WALK_KNEE, phase), foot=_both(WALK_FOOT, phase),
        shoulder=(-arms * swing + 2.0, arms * swing + 2.0), raise_=(8.0, 8.0), turn=(10.0, 10.0),
        elbow=(22.0 - 12.0 * swing, 22.0 + 12.0 * swing),
    )


def _run(phase: float) -> Pose:
    swing = math.cos(2.0 * math.pi * (phase - 0.03))
    flight = max(0.0, math.sin(4.0 * math.pi * (phase - 0.37)))     # both feet are off the ground twice a stride
    return Pose(
        lean=9.0, bend=6.0, twist=13.0 * swing, pelvis_turn=-8.0 * swing, nod=-4.0,
        hip=_both(RUN_HIP, phase), knee=_both(RUN_KNEE, phase), foot=_both(RUN_FOOT, phase), toes_out=(4.0, 4.0),
        shoulder=(-40.0 * swing - 2.0, 40.0 * swing - 2.0), raise_=(13.0, 13.0), turn=(22.0, 22.0),
        elbow=(86.0 - 18.0 * swing, 86.0 + 18.0 * swing), rise_m=0.07 * flight,
    )


def _crouch(phase: float) -> Pose:
    breath = math.sin(2.0 * math.pi * phase)
    return Pose(
        lean=24.0, bend=30.0 + 2.0 * breath, nod=-28.0, look=10.0 * breath,
        hip=(108.0, 100.0), spread=(14.0, 12.0), knee=(138.0, 122.0), foot=(-14.0, -6.0), toes_out=(16.0, 12.0),
        shoulder=(62.0, 48.0), raise_=(6.0, 10.0), turn=(20.0, 24.0), elbow=(56.0, 70.0),
    )


def _crouch_walk(phase: float) -> Pose:
    swing = math.cos(2.0 * math.pi * phase)
    hip, knee = _both(WALK_HIP, phase), _both(WALK_KNEE, phase)
    return Pose(
        lean=26.0, bend=30.0, twist=5.0 * swing, pelvis_turn=-5.0 * swing, nod=-30.0,
        hip=(62.0 + 0.75 * hip[0], 62.0 + 0.75 * hip[1]), knee=(62.0 + 0.55 * knee[0], 62.0 + 0.55 * knee[1]),
        foot=_both(tuple((x, 0.6 * y) for x, y in WALK_FOOT), phase), spread=(5.0, 5.0),
        shoulder=(38.0 - 14.0 * swing, 38.0 + 14.0 * swing), raise_=(12.0, 12.0), turn=(20.0, 20.0), elbow=(58.0, 58.0),
    )


def _rest(phase: float, manner: float) -> Pose:
    breath = math.sin(2.0 * math.pi * phase)
    if manner < 0.6:            # knees drawn up, forearms on them
        return Pose(
            lean=-14.0, bend=44.0 + 2.0 * breath, nod=4.0, look=14.0 * breath,
            hip=(124.0, 122.0), spread=(12.0, 14.0), knee=(112.0, 108.0), foot=(4.0, 4.0),
            shoulder=(56.0, 54.0), raise_=(9.0, 9.0), turn=(26.0, 26.0), elbow=(48.0, 52.0),
        )
    return Pose(                # one leg along the ground, leaning back on a hand
        lean=-20.0, bend=18.0 + 2.0 * breath, nod=6.0, look=-16.0 * breath,
        hip=(116.0, 68.0), spread=(10.0, 14.0), knee=(100.0, 8.0), foot=(4.0, 60.0), toes_out=(6.0, 22.0),
        shoulder=(46.0, -34.0), raise_=(10.0, 16.0), turn=(24.0, 0.0), elbow=(40.0, 8.0),
    )


def _lie(manner: float) -> Pose:
    if manner < 0.4:            # on the belly, head raised: hiding
        return Pose(
            tip=90.0, bend=-12.0, nod=-22.0, hip=(2.0, 14.0), spread=(9.0, 24.0), knee=(6.0, 30.0), foot=(-62.0, -48.0),
            toes_out=(24.0, 30.0), shoulder=(118.0, 128.0), raise_=(34.0, 30.0), turn=(16.0, 10.0), elbow=(76.0, 66.0),
        )
    if manner < 0.7:            # on the back
        return Pose(
            tip=-90.0, nod=10.0, hip=(4.0, 26.0), spread=(8.0, 8.0), knee=(6.0, 54.0), foot=(-28.0, -26.0),
            toes_out=(26.0, 20.0), shoulder=(4.0, 16.0), raise_=(16.0, 18.0), turn=(0.0, 40.0), elbow=(16.0, 78.0),
        )
    return Pose(                # on the side, drawn up: asleep
        tip=90.0, roll=84.0, bend=24.0, nod=18.0, hip=(52.0, 34.0), knee=(76.0, 50.0), foot=(-30.0, -26.0),
        spread=(4.0, 0.0), shoulder=(44.0, 66.0), raise_=(4.0, 0.0), turn=(24.0, 10.0), elbow=(86.0, 74.0),
    )


def _work(phase: float) -> Pose:
    stroke = math.sin(2.0 * math.pi * phase)
    return Pose(
        lean=42.0, bend=38.0 + 4.0 * stroke, nod=-14.0, twist=6.0 * stroke,
        hip=(52.0, 44.0), spread=(9.0, 9.0), knee=(26.0, 20.0), foot=(0.0, 0.0), toes_out=(12.0, 12.0),
        shoulder=(84.0 + 16.0 * stroke, 72.0 - 10.0 * stroke), raise_=(6.0, 8.0), turn=(14.0, 14.0),
        elbow=(22.0, 30.0 + 10.0 * stroke),
    )


def _stand(phase: float, manner: float) -> Pose:
    sway = math.sin(2.0 * math.pi * phase)
    pose = Pose(bend=1.0 + sway, nod=4.0, look=12.0 * sway, spread=(4.0, 4.0), shoulder=(2.0, 0.0), elbow=(16.0, 14.0))
    if manner < 0.5:
        return pose
    if manner < 0.75:           # weight on one leg, a hand at the strap or at the telephone
        return replace(pose, hip=(3.0, 14.0), knee=(3.0, 24.0), shoulder=(4.0, 30.0), turn=(6.0, 38.0), elbow=(18.0, 108.0))
    return replace(pose, shoulder=(-14.0, -14.0), raise_=(26.0, 26.0), turn=(34.0, 34.0), elbow=(72.0, 72.0))   # arms akimbo


def pose_for(posture: Posture, phase: float, manner: float, loaded: bool) -> Pose:
    """The pose of a posture at a phase (0 to 1). manner (0 to 1) tells people apart; loaded leans against a load."""
    match posture:
        case Posture.STAND:
            pose = _stand(phase, manner)
        case Posture.WALK:
            pose = _walk(phase, manner)
        case Posture.RUN:
            pose = _run(phase)
        case Posture.CROUCH:
            pose = _crouch(phase)
        case Posture.CROUCH_WALK:
            pose = _crouch_walk(phase)
        case Posture.REST:
            pose = _rest(phase, manner)
        case Posture.LIE:
            pose = _lie(manner)
        case Posture.RIDE:
            pose = Pose(
                lean=8.0, bend=17.0, nod=-10.0, hip=(74.0, 74.0), spread=(13.0, 13.0), knee=(80.0, 80.0),
                foot=(0.0, 0.0), shoulder=(66.0, 66.0), raise_=(24.0, 24.0), turn=(10.0, 10.0), elbow=(20.0, 20.0),
                seated=True,
            )
        case Posture.WORK:
            pose = _work(phase)
    if loaded and posture in (Posture.STAND, Posture.WALK, Posture.RUN):
        pose = replace(pose, lean=pose.lean + 4.0, bend=pose.bend + 9.0, nod=pose.nod - 6.0)
    return pose


def _turn(axis: int, degrees: float) -> Array:
    """Rotation about x (0), y (1) or z (2), right-handed."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = cosine
    matrix[i, j], matrix[j, i] = -sine, sine
    return matrix


def bone_turns(pose: Pose) -> dict[str, Array]:
    """For each bone its orientation (3, 3) in the body's frame, against hanging down (limbs) or upright (trunk, feet)."""
    whole = _turn(0, -pose.tip) @ _turn(2, pose.roll)
    pelvis = whole @ _turn(2, pose.pelvis_turn) @ _turn(0, -pose.lean)
    turns = {"pelvis": pelvis}
    spine = pelvis
    third = _turn(2, pose.twist / 3.0) @ _turn(0, -pose.bend / 3.0)
    for bone in ("spine_01", "spine_02", "spine_03"):
        spine = spine @ third
        turns[bone] = spine
    turns["neck_01"] = spine @ _turn(0, -pose.nod / 2.0) @ _turn(2, pose.look / 3.0)
    turns["head"] = turns["neck_01"] @ _turn(0, -pose.nod / 2.0) @ _turn(2, pose.look)
    for i, side in enumerate("lr"):
        out = 1.0 if side == "l" else -1.0      # left is -x: turning about +y brings a hanging limb there
        clavicle = spine @ _turn(1, out * max(0.0, pose.raise_[i] - 20.0) * 0.3) @ _turn(2, -out * 0.12 * pose.shoulder[i])
        upper = spine @ _turn(0, pose.shoulder[i]) @ _turn(1, out * pose.raise_[i]) @ _turn(2, -out * pose.turn[i])
        turns[f"clavicle_{side}"] = clavicle
        turns[f"upperarm_{side}"] = upper
        turns[f"lowerarm_{side}"] = upper @ _turn(0, pose.elbow[i]) @ _turn(2, -out * 12.0)
        turns[f"hand_{side}"] = turns[f"lowerarm_{side}"] @ _turn(2, -out * 14.0) @ _turn(0, 6.0)
        thigh = pelvis @ _turn(0, pose.hip[i]) @ _turn(1, out * pose.spread[i]) @ _turn(2, out * pose.toes_out[i] * 0.5)
        turns[f"thigh_{side}"] = thigh
        turns[f"calf_{side}"] = thigh @ _turn(0, -pose.knee[i])
        sole = whole @ _turn(2, pose.pelvis_turn * 0.5 + out * pose.toes_out[i]) @ _turn(0, pose.foot[i])
        turns[f"foot_{side}"] = sole
        # the ball stays on the ground while the heel rises
        turns[f"ball_{side}"] = sole @ _turn(0, min(40.0, max(0.0, -pose.foot[i] - 8.0)) if pose.tip == 0.0 else 0.0)
    return turns
