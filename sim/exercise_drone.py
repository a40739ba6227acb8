"""A drone's eye in lockstep: it flies its corridor out and back at one height and speed, and knows its place with errors.

The whole aircraft, with its autopilot, its modes and its failsafes, flies in an exercise with processes (sim.director). Here
only its camera counts: a path, a mount, and the errors of position and attitude that the node's settings claim.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cameras.pose import Pose, PoseEstimate, PoseSigma
from geofences.geodesy import Array
from geofences.sector import Sector
from sim.detector_model import DetectorModel
from sim.exercise_eyes import SimulatedEye, Stand
from sim.exercise_scenario import Eye
from sim.exercise_settings import DroneEntry
from sim.landscape_lines import lengths_along
from sim.multirotor import NOISE_TIME_S
from sim.truth_sight import Sight
from sim.world_state import Landscape
from wire.units import GroundPosition

TAKE_OFF_S = 25.0               # until it is on its way
LEANS_DEG = 10.0                # nose down in forward flight, as the mount in the node's settings expects
SAFE_M = 20.0                   # beyond the border's buffer


class DroneEye(SimulatedEye):
    """The camera of one drone on patrol. has_gps: without it there is no place, and nothing is placed."""

    def __init__(
        self, eye: Eye, landscape: Landscape, sight: Sight, surveyed: Sector, model: DetectorModel, seed: int
    ) -> None:
        super().__init__(eye, landscape, sight, surveyed, model, seed)
        assert isinstance(eye.entry, DroneEntry) and eye.node.drone is not None
        self.entry = eye.entry
        self.has_gps = True
        self.has_link = True
        self._mount_deg = eye.node.drone.mount_deg or (0.0, 0.0, 0.0)
        home = surveyed.frame.point(GroundPosition(*eye.entry.home))
        self._height_msl_m = float(landscape.terrain.height_msl_m([home])[0]) + eye.entry.height_m
        self._line = patrol_line(surveyed, eye.entry)
        self._along = lengths_along(self._line)
        c = eye.settings.sigma
        self._sigma = PoseSigma(c.position_m, c.height_m, c.yaw_deg, c.pitch_deg, c.roll_deg)
        self._sigmas = np.array([c.position_m, c.position_m, c.height_m, c.yaw_deg, c.pitch_deg, c.roll_deg])
        self._mistake = self._chance.standard_normal(6)
        self._at_s = 0.0

    def stand_at(self, at_s: float) -> Stand | None:
        if at_s < TAKE_OFF_S or not self.has_link:
            return None
        true = self._pose(at_s)
        passed_s, self._at_s = max(at_s - self._at_s, 0.0), max(at_s, self._at_s)
        keeps = math.exp(-passed_s / NOISE_TIME_S)
        if passed_s > 0:
            self._mistake = keeps * self._mistake + math.sqrt(1 - keeps**2) * self._chance.standard_normal(6)
        if not self.has_gps:
            return Stand(true, None)
        off = self._mistake * self._sigmas
        believed = replace(
            true, east_m=true.east_m + float(off[0]), north_m=true.north_m + float(off[1]),
            height_msl_m=true.height_msl_m + float(off[2]), yaw_deg=true.yaw_deg + float(off[3]),
            pitch_deg=true.pitch_deg + float(off[4]), roll_deg=true.roll_deg + float(off[5]),
        )
        return Stand(true, PoseEstimate(believed, self._sigma))

    def _pose(self, at_s: float) -> Pose:
        """Out and back along the line, from its inland end."""
        whole = float(self._along[-1])
        gone = (at_s - TAKE_OFF_S) * self.entry.speed_m_s % (2 * whole)
        is_back = gone > whole
        s = 2 * whole - gone if is_back else gone
        i = min(max(int(np.searchsorted(self._along, s)), 1), len(self._line) - 1)
        a, b = self._line[i - 1], self._line[i]
        f = (s - self._along[i - 1]) / max(float(self._along[i] - self._along[i - 1]), 1e-9)
        place = a + (b - a) * f
        way = (a - b) if is_back else (b - a)
        yaw = math.degrees(math.atan2(way[0], way[1])) % 360.0
        roll, pitch, turn = self._mount_deg
        return Pose(float(place[0]), float(place[1]), self._height_msl_m, yaw + turn, pitch - LEANS_DEG, roll)


def patrol_line(sector: Sector, entry: DroneEntry) -> Array:
    """(n, 2) metres, from the corridor's inland end towards the border as far as reach and buffer let."""
    ground = next(g for g in sector.corridors.grounds if g.corridor.id == entry.corridor)
    line = np.array(ground.centre_line.coords)[::-1]
    along = lengths_along(line)
    reach = entry.reach_m or float(along[-1])
    kept: list[Array] = [line[0]]
    for s in np.arange(5.0, min(reach, float(along[-1])) + 1e-6, 5.0):
        i = min(max(int(np.searchsorted(along, s)), 1), len(line) - 1)
        f = (s - along[i - 1]) / max(float(along[i] - along[i - 1]), 1e-9)
        place = line[i - 1] + (line[i] - line[i - 1]) * f
        if abs(float(np.ravel(sector.border.signed_distance_m(place[None]))[0])) < sector.border_buffer_m + SAFE_M:
            break
        kept.append(place)
    return np.array(kept if len(kept) > 1 else [line[0], line[1]])
