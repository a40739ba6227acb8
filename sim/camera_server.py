"""A camera of the simulated world as a process: it draws what it sees, and publishes that for its node.

It is as much a camera as a node can tell: pictures come when they come, newest first, with the time of capture. That they
are rendered is burnt into them, and said by their topic and header.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import zmq

from cameras.lens import Lens
from cameras.pose import NoPose, Pose
from cameras.turn import Turn
from sim.camera_drone import TrueDronePose
from sim.camera_faults import CameraFaults
from sim.camera_head import CameraHead
from sim.camera_settings import CameraPlan, load_camera_plan, preset_views, standing_pose
from sim.landscape_cache import cached_landscape
from sim.raster_gl import RasterError
from sim.renderer import Renderer
from sim.renderer_light import GREYEST_LUX, Palette, lux
from sim.world_feed import WorldFeed
from sim.world_state import Landscape, Moment, Sky
from wire.clock import NS_PER_S, Clock, WallClock
from wire.frame_feed import RenderedFrame, encode_frame
from wire.process import die_with_parent, log_to_stderr, stop_on_signals
from wire.settings import SettingsError

UNDER_WAY_NS = NS_PER_S // 10   # a picture shows the world of a tenth of a second ago, as after exposure and transfer
RECKONED_S = 30.0               # the rate that was reached is told this often
# Of Mesa's software rasterizer: no threads of its own. The demo of three cameras on two cores, two runs each: capture to
# feed 237 and 257 ms (median) instead of 304 and 323, p99 392 and 446 instead of 496 and 508, at the same pictures a second.
DRAW_IN_THIS_THREAD = ("LP_NUM_THREADS", "0")
SWITCH_BACK = 1.6               # the lamp goes off at this many times the light at which it went on

_log = logging.getLogger("trailwatch.camera")

PoseAt = Callable[[int], Pose | NoPose]
LensAt = Callable[[int], Lens]


class CameraServer:
    """One camera at its socket. pose_at: where it was at a UTC time. lens_at: of one that zooms, through which lens."""

    def __init__(
        self, plan: CameraPlan, landscape: Landscape, pose_at: PoseAt, clock: Clock, lens_at: LensAt | None = None,
    ) -> None:
        self._plan = plan
        self._pose_at = pose_at
        self._lens_at = lens_at or (lambda _: plan.lens)
        self._clock = clock
        self._renderer = Renderer(landscape, plan.settings.seed)
        self._feed = WorldFeed(plan.settings.world, plan.settings.drones)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, 2)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._faults = CameraFaults(plan.file.parent / plan.settings.fault if plan.settings.fault else None, clock)
        self._sequence = 0
        self._dark = False
        self.problem = ""
        try:
            self._socket.bind(plan.serve)
        except zmq.ZMQError as error:
            self.close()
            raise SettingsError(f'"{plan.serve}" cannot be had: {error}. Stop what uses it.') from None

    def serve(self, stop: threading.Event) -> None:
        """Draw and publish at the settings' rate until told to stop; what cannot be drawn in time is left out."""
        step_ns = round(NS_PER_S / self._plan.settings.fps)
        due_ns = reckoned_ns = self._clock.monotonic_ns()
        drawn = 0
        while not stop.is_set():
            drawn += self.turn()
            now_ns = self._clock.monotonic_ns()
            due_ns = max(due_ns + step_ns, now_ns - step_ns)
            if now_ns - reckoned_ns > RECKONED_S * NS_PER_S:
                rate = drawn * NS_PER_S / (now_ns - reckoned_ns)
                _log.info('"%s": %.1f pictures a second%s', self._plan.camera.id, rate, self.problem and f"; {self.problem}")
                reckoned_ns, drawn = now_ns, 0
            self._clock.sleep(max(0.0, (due_ns - now_ns) / NS_PER_S))

    def turn(self) -> bool:
        """Draw and publish one picture; False when there is nothing to be seen, and `problem` says why."""
        captured_ns = self._clock.utc_ns() - UNDER_WAY_NS
        moment = self._feed.moment_at(captured_ns)
        if moment is None:
            self._say(f"the world at {self._plan.settings.world} says nothing")
            return False
        pose = self._pose_at(captured_ns)
        if isinstance(pose, NoPose):
            self._say(pose.reason)
            return False
        self._say("")
        if self._plan.drone is not None:
            self._feed.tell_drone(self._plan.camera.id, pose.east_m, pose.north_m, pose.height_msl_m)
        self._publish(moment, pose, captured_ns)
        return True

    def close(self) -> None:
        self._renderer.close()
        self._feed.close()
        self._context.destroy(linger=0)

    def _publish(self, moment: Moment, pose: Pose, captured_ns: int) -> None:
        lens = self._lens_at(captured_ns)
        pose = self._faults.pose(pose)
        picture = self._renderer.render(moment, pose, lens, self._palette(moment.sky))
        jpeg = self._faults.jpeg(picture.image, picture.jpeg)
        if jpeg is None:
            return
        frame = RenderedFrame(self._plan.camera.id, self._sequence, captured_ns, lens.width_px, lens.height_px, True, jpeg)
        self._sequence += 1
        with contextlib.suppress(zmq.Again):
            self._socket.send(encode_frame(frame), zmq.NOBLOCK)

    def _palette(self, sky: Sky) -> Palette:
        chosen = self._plan.settings.palette
        if chosen != "auto":
            return Palette(chosen)
        self._dark = lux(sky) < GREYEST_LUX * (SWITCH_BACK if self._dark else 1.0)
        return Palette.LOW_LIGHT if self._dark else Palette.DAY

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.warning('"%s": no picture: %s', self._plan.camera.id, problem)
        self.problem = problem


def run(config: Path) -> int:
    """Run one simulated camera until SIGTERM or SIGINT. Raises SettingsError for what a person has to put right."""
    die_with_parent()
    log_to_stderr()
    plan = load_camera_plan(config)
    stop = stop_on_signals()
    cv2.setNumThreads(1)
    os.environ.setdefault(*DRAW_IN_THIS_THREAD)
    clock = WallClock()
    landscape = cached_landscape(plan.scenario)
    with contextlib.ExitStack() as open_:
        lens_at: LensAt | None = None
        if plan.ptz is not None:
            views = preset_views(plan, landscape.terrain)
            repeat_deg = plan.ptz.repeat_deg if plan.settings.mistaken else 0.0
            head = CameraHead(views, plan.ptz.url, repeat_deg, plan.settings.seed, clock)
            open_.callback(head.close)
            pose_at: PoseAt = lambda at_ns: head.at(at_ns).pose     # noqa: E731
            lens_at = lambda at_ns: head.at(at_ns).lens             # noqa: E731
        elif plan.drone is None:
            pose = standing_pose(plan, landscape.terrain)
            pose_at = lambda _: pose    # noqa: E731 -- it stands, at any time
        else:
            mount = plan.drone.mount_deg
            turn = None if mount is None else Turn.by_degrees(*mount[::-1])
            frame = plan.sector.frame
            drone = TrueDronePose(plan.settings.autopilot, plan.drone.system_id, frame, turn, clock)
            pose_at = open_.enter_context(drone).pose_at
        try:
            server = CameraServer(plan, landscape, pose_at, clock, lens_at)
        except RasterError as error:
            raise SettingsError(str(error)) from None
        open_.callback(server.close)
        _log.info('the camera "%s" (simulated) is published at %s', plan.camera.id, plan.serve)
        server.serve(stop)
    return 0
