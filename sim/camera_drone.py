"""Where a simulated drone's camera really is: the simulation's own word, not what the autopilot believes.

SIM_STATE is what ArduPilot's simulation and our model both send when asked; a real autopilot has no such thing, so nobody
can be shown a rendered world from where a real aircraft is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from cameras.pose import NoPose, Pose
from cameras.turn import Turn
from edge.drone_messages import PoseReader
from edge.drone_pose import AttitudeSample, DronePose, DronePoseLimits, GimbalSample, PositionSample
from geofences.geodesy import LocalFrame
from mavlink.ardupilot import set_interval
from mavlink.link import Link, companion
from mavlink.loop_thread import LoopThread
from wire.clock import NS_PER_S, Clock

RATES_HZ = {mavlink.MAVLINK_MSG_ID_SIM_STATE: 20.0, mavlink.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS: 20.0}
ASK_AGAIN_S = 2.0


class TrueDronePose:
    """Follows one simulated drone. A context manager: its thread owns the connection while inside.

    mount: of a camera without a gimbal, as in edge.drone_pose.DronePose; None takes the gimbal's word.
    """

    def __init__(self, connection: str, system_id: int, frame: LocalFrame, mount: Turn | None, clock: Clock) -> None:
        self._system_id = system_id
        self._clock = clock
        self._reader = PoseReader()
        self._poses = DronePose(frame, DronePoseLimits(extrapolation_s=0.3, gap_s=2.0), mount)
        self._link = Link(connection, clock, speaker=companion(system_id))
        self._thread = LoopThread("true drone pose", self._listen)

    def __enter__(self) -> TrueDronePose:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    def pose_at(self, utc_ns: int) -> Pose | NoPose:
        """The camera's pose at a time that lies a tenth of a second back, or why there is none."""
        if not self._link.connected:
            return NoPose(self._link.problem)
        estimate = self._poses.pose_at(utc_ns)
        return estimate if isinstance(estimate, NoPose) else estimate.pose

    async def _listen(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._keep_asking())
            with self._link.subscribe(("SIM_STATE", "GIMBAL_DEVICE_ATTITUDE_STATUS"), self._system_id) as heard:
                while True:
                    message = await heard.get(1.0)
                    if message is not None:
                        self._take(message, self._clock.utc_ns())

    def _take(self, message: Any, received_ns: int) -> None:
        if message.get_type() == "SIM_STATE":
            attitude, position = true_samples(message, received_ns)
            self._poses.add(attitude)
            self._poses.add(position)
            return
        sample = self._reader.sample(message, received_ns)
        if isinstance(sample, GimbalSample):
            # SIM_STATE has no time of its own, so both go by when they came.
            self._poses.add(GimbalSample(received_ns, sample.quaternion, sample.earth_frame))

    async def _keep_asking(self) -> None:
        while True:
            age_s = (self._clock.utc_ns() - self._poses.told_until_ns()) / NS_PER_S
            if self._link.connected and age_s > ASK_AGAIN_S / 2:
                for message_id, rate_hz in RATES_HZ.items():
                    self._link.send(set_interval(self._system_id, mavlink.MAV_COMP_ID_AUTOPILOT1, message_id, rate_hz))
            await asyncio.sleep(ASK_AGAIN_S / 2)


def true_samples(message: Any, received_ns: int) -> tuple[AttitudeSample, PositionSample]:
    """What a SIM_STATE says, as samples of the moment in which it came."""
    attitude = Turn.by_angles(message.yaw, message.pitch, message.roll)
    # Degrees times 1e7 where they are filled in; the plain ones are float32, which is a metre.
    lat, lon = (message.lat_int / 1e7, message.lon_int / 1e7) if message.lat_int else (message.lat, message.lon)
    return AttitudeSample(received_ns, attitude.q), PositionSample(
        received_ns, float(lat), float(lon), float(message.alt), float(message.ve), float(message.vn), -float(message.vd),
    )
