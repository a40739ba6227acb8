"""A drone's own node listens to its autopilot: who it is, and where the camera was when a frame was exposed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from dataclasses import replace

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from cameras.pose import NoPose, PoseEstimate
from cameras.turn import Turn
from edge.autopilot_clock import Exchange
from edge.drone_messages import PoseReader
from edge.drone_pose import DronePose, DronePoseLimits
from geofences.geodesy import LocalFrame
from mavlink.ardupilot import SIMULATION_PARAMETERS, set_interval
from mavlink.link import Link, Message, Subscription, companion
from mavlink.loop_thread import LoopThread
from wire.clock import NS_PER_S, Clock
from wire.node_words import node_text
from wire.units import Realm

AUTOPILOT = mavlink.MAV_COMP_ID_AUTOPILOT1
# Hz. Fast enough that the straight line between two samples errs less than the telemetry itself (edge/drone_pose.py).
POSE_RATES_HZ: dict[int, float] = {
    mavlink.MAVLINK_MSG_ID_ATTITUDE: 20.0,
    mavlink.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: 10.0,
    mavlink.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS: 20.0,
    mavlink.MAVLINK_MSG_ID_EKF_STATUS_REPORT: 2.0,
}
HEARD = (
    "HEARTBEAT", "PARAM_VALUE", "ATTITUDE", "GLOBAL_POSITION_INT", "GIMBAL_DEVICE_ATTITUDE_STATUS", "MOUNT_ORIENTATION",
    "TIMESYNC", "EKF_STATUS_REPORT",
)
ASK_TIME_S = 1.0                # TIMESYNC; the shortest round trip of a minute counts
ASK_TIME_FIRST_S = 0.2          # for the first ten
ASK_AGAIN_S = 2.0               # for who it is, and for reports that have stopped coming
SILENT_TRIES = 5                # a real autopilot answers no SIM_ parameter at all: this many unanswered rounds say "real"
WAIT_S = 0.4                    # two position reports at 5 Hz, for one that is still on its way
LOOK_S = 0.01

_log = logging.getLogger("trailwatch.edge")


class DroneLink:
    """A cameras.pose.PoseSource from an autopilot. A context manager: its thread owns the connection while inside.

    system_id: whom to listen to on it. mount: None where a gimbal tells its own attitude (see DronePose). A drone that is
    simulated gives no pose to a live node, nor a real one to a training node: the realm is not a matter of settings.
    """

    def __init__(
        self, connection: str, system_id: int, realm: Realm, frame: LocalFrame, limits: DronePoseLimits,
        mount: Turn | None, clock: Clock,
    ) -> None:
        self._connection = connection
        self._system_id = system_id
        self._realm = realm
        self._clock = clock
        self._reader = PoseReader()
        self._poses = DronePose(frame, limits, mount)
        self._asked_ns: deque[int] = deque(maxlen=10)       # with what TIMESYNC was last asked
        self._simulated: bool | None = None
        self._link = Link(connection, clock, speaker=companion(system_id))
        self._thread = LoopThread("drone link", self._listen)

    def __enter__(self) -> DroneLink:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    def pose_at(self, captured_ns: int) -> PoseEstimate | NoPose:
        """The camera's pose at that moment. Waits a little for telemetry that is still on its way."""
        until_ns = self._clock.monotonic_ns() + round(WAIT_S * NS_PER_S)
        while True:
            refusal = self._refusal()
            if refusal is not None:
                return refusal
            if self._poses.told_until_ns() >= captured_ns or self._clock.monotonic_ns() >= until_ns:
                return self._with_clock_error(self._poses.pose_at(captured_ns))
            self._clock.sleep(LOOK_S)

    def _with_clock_error(self, found: PoseEstimate | NoPose) -> PoseEstimate | NoPose:
        """What is not known of the autopilot's clock moves a frame along the flight, as a wrong time of the frame does."""
        if isinstance(found, NoPose):
            return found
        return replace(found, time_sigma_s=math.hypot(found.time_sigma_s, self._reader.clock_sigma_s))

    def _refusal(self) -> NoPose | None:
        if self._simulated is None:
            return NoPose(self._link.problem or node_text("autopilot_awaited", connection=self._connection))
        if self._simulated and self._realm is Realm.LIVE:
            return NoPose(node_text("autopilot_simulated", connection=self._connection))
        if not self._simulated and self._realm is Realm.TRAINING:
            return NoPose(node_text("autopilot_real", connection=self._connection))
        return None

    # --------------------------------------------------------------------------------------------------- its own thread

    async def _listen(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            with self._link.subscribe(HEARD, self._system_id) as heard:
                tasks.create_task(self._keep_asking())
                tasks.create_task(self._keep_asking_the_time())
                await self._take(heard)

    async def _take(self, heard: Subscription) -> None:
        connection = clocks_set = 0
        while True:
            message = await heard.get(1.0)
            if message is None:
                continue
            if connection != self._link.counts.connections:
                connection = self._link.counts.connections
                self._reader.begin_anew()
                clocks_set = 0
            if message.get_type() == "PARAM_VALUE":
                if message.param_id.rstrip("\0") in SIMULATION_PARAMETERS and not self._simulated:
                    self._simulated = True
                    _log.info("%s: the autopilot is simulated", self._connection)
                continue
            if message.get_type() == "TIMESYNC":
                self._take_time(message)
                continue
            sample = self._reader.sample(message, self._clock.utc_ns())
            if clocks_set != self._reader.clocks_set:
                clocks_set = self._reader.clocks_set
                self._poses.forget()
                _log.info("%s: a clock was set, here or there: its reports count from now on", self._connection)
            if sample is not None:
                self._poses.add(sample)

    def _take_time(self, message: Message) -> None:
        """An answer to TIMESYNC carries what we asked with; questions (0) and answers to others are not ours.

        Every component of the aircraft may answer one question, each by its own clock.
        """
        if message.tc1 != 0 and message.ts1 in self._asked_ns:
            self._reader.exchanged(message, Exchange(message.ts1, message.tc1, self._clock.utc_ns()))

    async def _keep_asking_the_time(self) -> None:
        asked = 0
        while True:
            if self._link.connected:
                now_ns = self._clock.utc_ns()
                if self._link.send(mavlink.MAVLink_timesync_message(0, now_ns)):
                    self._asked_ns.append(now_ns)
                    asked += 1
            await asyncio.sleep(ASK_TIME_FIRST_S if asked < 10 else ASK_TIME_S)

    async def _keep_asking(self) -> None:
        """Ask who it is and for its reports; again whenever they have stopped, as after a reboot of the autopilot."""
        unanswered = 0
        while True:
            connected = self._link.connected and self._link.heard_age_s < ASK_AGAIN_S
            if connected and self._simulated is None:
                unanswered += 1
                if unanswered > SILENT_TRIES:
                    self._simulated = False
                for name in SIMULATION_PARAMETERS:
                    self._link.send(
                        mavlink.MAVLink_param_request_read_message(self._system_id, AUTOPILOT, name.encode(), -1)
                    )
            age_s = (self._clock.utc_ns() - self._poses.told_until_ns()) / NS_PER_S
            if self._link.connected and age_s > ASK_AGAIN_S / 2:
                for message_id, rate_hz in POSE_RATES_HZ.items():
                    self._link.send(set_interval(self._system_id, AUTOPILOT, message_id, rate_hz))
            await asyncio.sleep(ASK_AGAIN_S if self._simulated is not None else ASK_AGAIN_S / 4)
