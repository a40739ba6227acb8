"""One node: the way of the data from a source to the station, in one process."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import shapely

from cameras.camera import Camera
from cameras.footprint import footprint
from cameras.pose import FixedPose, NoPose, Pose, PoseEstimate, PoseSource
from cameras.turn import Turn
from edge.byte_track import LOST_S
from edge.detector import NOTHING, Detector, Found
from edge.detector_road import open_detector
from edge.gaze import gaze_of
from edge.health import Meter, Sight
from edge.optics import optics_of
from edge.order_journal import OrderJournal
from edge.orders import Orders
from edge.plate_reader import PlateReader
from edge.presets import Head, HeadState, mover_of
from edge.rendered import LabelledPictures, OnlyRealPictures
from edge.self_check import SelfCheck
from edge.settings import OtherShapeError, Setup, SourceKind, lens_for, load_setup
from edge.sightings import Placed, Sighting, place
from edge.snapshots import SnapshotTaker
from edge.sources import Frame, ReplaySource, RestartingSource, Source, SourceError
from edge.streams import RtspSource, SimulatorSource, UsbSource, without_password
from edge.tracker import Tracked, Tracker
from edge.vehicle_looks import VehicleLooks
from geofences.corridors import CorridorMap
from models.registry import resolve_weights
from wire.clock import NS_PER_S, Clock, WallClock
from wire.keys import Z85_KEY_CHARACTERS
from wire.messages import (
    CorridorSet,
    DetectionBatch,
    NodeHealth,
    Order,
    SensorReport,
    SensorState,
    Snapshot,
    TrackState,
    TrackUpdate,
    UpBody,
)
from wire.node_words import NO_TEXT, NodeText
from wire.outbox import Outbox
from wire.outbox_bounds import PictureBounds
from wire.private_files import make_folder_private
from wire.process import die_with_parent, log_to_stderr, stop_on_signals
from wire.settings import refuse
from wire.units import GroundPosition, HeightMsl, Position, Realm
from wire.uplink import Down, Uplink

HEALTH_EVERY_S = 1.0
SENSOR_EVERY_S = 3.0
DRONE_SENSOR_EVERY_S = 1.0      # its footprint moves
GRAB_TIMEOUT_S = 0.25           # how late a stop, or the news that a camera is blind, may be
TOGETHER_S = 0.25               # between two commits, where there is no news to tell: SD cards wear
PATIENCE_GAPS, PATIENCE_MOST_S = 3, 30.0    # without a picture, tracks wait for LOST_S, or for so many usual gaps
DRAIN_S = 4.0                   # at the end: time for the station to acknowledge what still waits

if TYPE_CHECKING:
    from edge.drone_link import DroneLink

_log = logging.getLogger("trailwatch.edge")


class Node:
    """Runs one sensor. poses says where the camera was at a moment: a survey, or a drone's telemetry. problem: of the start,
    for its health.
    """

    def __init__(
        self, setup: Setup, source: Source, detector: Detector, poses: PoseSource, outbox: Outbox, clock: Clock,
        problem: NodeText = NO_TEXT, checks: SelfCheck | None = None,
    ) -> None:
        sensor = setup.settings.camera.id
        self._setup = setup
        self._sensor = sensor
        self._source = RestartingSource(source, lambda: open_source(setup, clock), clock)
        self._gaze = gaze_of(setup, detector)
        self._poses = poses
        self._outbox = outbox
        self._clock = clock
        self._tracker = Tracker(sensor, setup.settings.detector.score_threshold)
        self._snapshots = SnapshotTaker(sensor)
        journal = OrderJournal(setup.outbox.with_name("orders.db"))
        ptz = setup.settings.ptz
        self._head = Head(setup, mover_of(ptz), journal, clock) if ptz else None      # of a camera that turns
        self._orders = Orders(sensor, setup.settings.drone is not None, self._gaze.gate, journal, clock, self._head)
        self._looks = VehicleLooks(PlateReader(clock) if setup.settings.read_plates else None)
        self._camera: Camera | None = None          # fitted to the pictures as they come
        self._corridors = setup.sector.corridors    # replaced as a whole, by the uplink's thread
        self._sight = Sight(clock)
        self._meter = Meter(clock, setup.outbox.parent)
        self._checks = checks or SelfCheck(setup, clock)
        self._problem = problem
        self._no_pose = NO_TEXT
        self._seen_from: PoseEstimate | None = None     # of the newest frame, and so where it is on the map
        self._drawn: tuple[Camera, Pose, tuple[GroundPosition, ...]] | None = None
        self._health_due_ns = self._sensor_due_ns = 0
        self._tracked_ns, self._gap_ns = clock.monotonic_ns(), 0    # the last picture in which tracks were followed
        self._untold: list[Sighting | UpBody] = []      # not in the outbox yet, in order
        self._put_ns = 0
        self._told_state = self._sight.state
        self._uplink: Uplink | None = None

    def run(self, uplink: Uplink, stop: threading.Event) -> None:
        """See and tell until `stop`, or until the source has ended."""
        self._uplink = uplink
        try:
            while not stop.is_set() and not self._source.ended:
                frame = self._source.grab(GRAB_TIMEOUT_S)
                self._follow_head()
                self._say(self._lapsed())
                if frame is not None:
                    self._say(self._see(frame))
                else:
                    self._sight.nothing(self._source.complaint)
                small = None if frame is None else self._gaze.shown(frame.image)
                self._say(self._orders.turn(frame, self._setup.marking(self._source.simulated), small))
                self._say(self._reports())
                if self._is_due():
                    self._put()
            self._say([*self._all_ended(), *self._orders.end(), self._health()])
            self._put()
            self._drain()
        finally:
            self._put()
            self._source.close()
            self._looks.close()
            if self._head is not None:
                self._head.close()
            self._orders.close()

    def _say(self, messages: Sequence[UpBody]) -> None:
        """After all that was seen before."""
        self._untold += messages

    def _place(self) -> list[Placed]:
        """What was seen and is not placed yet; its messages stand where it stood."""
        sightings = [u for u in self._untold if isinstance(u, Sighting)]
        if not sightings:
            return []
        # Should placing fail, all else that is untold is still put.
        untold, self._untold = self._untold, [u for u in self._untold if not isinstance(u, Sighting)]
        with self._meter.stage("place"):
            placed = place(self._sensor, sightings, self._setup.sector.terrain, self._corridors)
        batches = iter(placed)
        self._untold = [next(batches).batch if isinstance(u, Sighting) else u for u in untold]
        return placed

    def _is_due(self) -> bool:
        """News goes into the outbox at once; what is known already goes together, in one commit."""
        if any(_is_news(u) for u in self._untold):
            return True
        return bool(self._untold) and self._clock.monotonic_ns() - self._put_ns >= TOGETHER_S * NS_PER_S

    def _put(self) -> None:
        self._place()
        untold, self._untold = self._untold, []
        if not untold:
            return
        self._put_ns = self._clock.monotonic_ns()
        # All sightings are placed; saying so costs nothing, and tells the types.
        messages = [u for u in untold if not isinstance(u, Sighting)]
        with self._meter.stage("outbox"):
            self._outbox.put(*(self._looks.tell(m) if isinstance(m, DetectionBatch) else m for m in messages))
        self._orders.note_put()

    def _see(self, frame: Frame) -> list[UpBody]:
        """The way of one frame."""
        self._meter.frames_in += 1
        if self._head is not None and self._head.view is None:
            return self._look_away(frame, self._head)
        camera = self._camera_for(frame)
        if camera is None:
            return []
        with self._meter.stage("check"):
            self._sight.frame(self._checks.look(frame.image))
        with self._meter.stage("gate"):
            where = self._gaze.where(frame)
        self._meter.look(where.seen)
        with self._meter.stage("detect"):
            found = self._gaze.find(frame.image, where)
        with self._meter.stage("track"):
            tracked = self._tracker.update(found, frame.captured_ns, where.looked)
            look_is_due = self._follow(found, tracked, frame.captured_ns)
        estimate = self._poses.pose_at(frame.captured_ns)
        if isinstance(estimate, NoPose):
            self._no_pose, self._seen_from = estimate.reason, None
            return [*tracked.news, *self._snapshots.of_ended(tracked.news, frame.captured_ns)]
        self._no_pose, self._seen_from = NO_TEXT, estimate
        estimate = self._checks.widened(estimate)
        if len(tracked.ids):
            self._untold.append(Sighting(frame.captured_ns, self._checks.time_quality, tracked, camera, estimate))
        if look_is_due:         # while the picture is at hand
            placed = self._place()
            with self._meter.stage("looks"):
                ground = placed[-1].ground
                self._looks.look(frame.image, found, tracked, ground, camera, estimate.pose, frame.captured_ns)
        with self._meter.stage("snapshot"):
            snapshots = self._snapshots.take(frame, tracked, self._setup.marking(self._source.simulated))
        return [*tracked.news, *snapshots]

    def _follow_head(self) -> None:
        """Of a camera that turns: work with the pose, lens and view of the preset in force."""
        if self._head is None:
            return
        self._head.tend()
        view = self._head.view
        if view is not None and view.survey is not None and view is not self._setup:
            self._setup, self._camera, self._poses = view, None, FixedPose(view.survey)
            self._checks.begin_at(view)
            self._sensor_due_ns = 0

    def _look_away(self, frame: Frame, head: Head) -> list[UpBody]:
        """A camera that turns, or of which nobody knows where it looks: nothing is looked for, and the tracks end."""
        self._sight.turned_away(head.state is HeadState.TURNING, head.detail)
        self._seen_from = None
        tracked = self._tracker.update(NOTHING, frame.captured_ns)
        self._follow(NOTHING, tracked, frame.captured_ns)
        return [*tracked.news, *self._snapshots.of_ended(tracked.news, frame.captured_ns)]

    def _follow(self, found: Found, tracked: Tracked, captured_ns: int) -> bool:
        """Tell all who remember tracks what became of them in a picture; whether its vehicles should be looked at."""
        now_ns = self._clock.monotonic_ns()
        self._tracked_ns, self._gap_ns = now_ns, now_ns - self._tracked_ns
        self._gaze.hold(found, tracked, captured_ns)
        return self._looks.follow(tracked, captured_ns)

    def _lapsed(self) -> list[UpBody]:
        """The ends of all tracks once nobody has followed them for so long that whoever stands there may be somebody else:
        after the gap the next vehicle at a barrier would have the id, and the plate, of the one before it.
        """
        patience_ns = max(LOST_S * NS_PER_S, min(PATIENCE_GAPS * self._gap_ns, PATIENCE_MOST_S * NS_PER_S))
        return self._all_ended() if self._clock.monotonic_ns() - self._tracked_ns > patience_ns else []

    def _all_ended(self) -> list[UpBody]:
        at_ns = self._clock.utc_ns()
        tracked = self._tracker.end_all()
        if not tracked.news:
            return []
        self._gaze.hold(NOTHING, tracked, at_ns)
        self._looks.follow(tracked, at_ns)
        return [*tracked.news, *self._snapshots.of_ended(tracked.news, at_ns)]

    def _camera_for(self, frame: Frame) -> Camera | None:
        """The camera for pictures of this size; None for those of another shape: nothing in them can be placed."""
        height, width = frame.image.shape[:2]
        if self._camera is None or (self._camera.lens.width_px, self._camera.lens.height_px) != (width, height):
            try:
                self._camera = replace(self._setup.camera, lens=lens_for(self._setup, width, height))
            except OtherShapeError as error:
                self._camera = None
                self._sight.unusable(error.text)
        return self._camera

    # ------------------------------------------------------------------------------------------------------- reports

    def _reports(self) -> list[UpBody]:
        now_ns = self._clock.monotonic_ns()
        due: list[UpBody] = []
        if now_ns >= self._sensor_due_ns or self._sight.state is not self._told_state:
            every_s = SENSOR_EVERY_S if self._setup.survey else DRONE_SENSOR_EVERY_S
            self._sensor_due_ns = now_ns + round(every_s * NS_PER_S)
            self._told_state = self._sight.state
            due += self._sensor_report()
        if now_ns >= self._health_due_ns:
            self._health_due_ns = now_ns + round(HEALTH_EVERY_S * NS_PER_S)
            due.append(self._health())
        return due

    def _sensor_report(self) -> list[UpBody]:
        """None for a drone that does not know where it is: a place on the map would be a lie; its health says why."""
        at_ns = self._clock.utc_ns()
        estimate = self._setup.survey or self._seen_from
        if estimate is None:
            return []
        lat, lon = (float(v) for v in self._setup.sector.frame.from_enu(estimate.pose.position[None, :2])[0])
        # Between a head's arrival and the next picture the state is still that of the turn.
        turned = self._sight.state is SensorState.CALIBRATING
        knows_where = self._head is None or (bool(self._head.view) and not turned)
        outline = self._outline(estimate.pose) if knows_where else ()
        camera = self._camera or self._setup.camera
        return [SensorReport(
            sensor=self._sensor, at_ns=at_ns, position=Position(lat, lon, HeightMsl(estimate.pose.height_msl_m)),
            footprint=outline, state=self._sight.state, state_since_ns=self._sight.since_ns,
            detail=str(self._sight.detail), detail_words=self._sight.detail.worded, simulated=self._source.simulated,
            optics=optics_of(camera, estimate, self._setup.settings.camera) if knows_where else None,
        )]

    def _outline(self, pose: Pose) -> tuple[GroundPosition, ...]:
        """The footprint in degrees; drawn anew only when camera or pose have changed."""
        camera = self._camera or self._setup.camera
        if self._drawn is None or self._drawn[:2] != (camera, pose):
            ground = footprint(camera, pose, self._setup.sector.terrain)
            degrees = self._setup.sector.frame.from_enu(ground) if len(ground) else ground
            outline = tuple(GroundPosition(round(float(lat), 7), round(float(lon), 7)) for lat, lon in degrees)
            self._drawn = (camera, pose, outline)
        return self._drawn[2]

    def _health(self) -> UpBody:
        uplink = self._uplink.problem if self._uplink else NO_TEXT
        said = (self._outbox.problem, uplink, self._problem, self._no_pose, self._sight.detail, self._looks.problem)
        problems = [*(p for p in said if p), *self._checks.problems]
        checks = self._checks
        report = self._meter.report(self._outbox, self._source.dropped, problems, checks.time_quality, checks.position)
        return self._orders.told_in(report)

    def _drain(self) -> None:
        """Give the station a moment to acknowledge the rest; what it does not waits on the disk for the next start."""
        until_ns = self._clock.monotonic_ns() + round(DRAIN_S * NS_PER_S)
        while self._outbox.depth and self._uplink and not self._uplink.problem and self._clock.monotonic_ns() < until_ns:
            self._clock.sleep(0.02)

    # ------------------------------------------------------------------------------- from the station (uplink's thread)

    def hear(self, message: Down) -> None:
        """Take new corridors, or hand an order to the loop."""
        if isinstance(message, Order):
            self._orders.hear(message)
        elif isinstance(message, CorridorSet):
            self._take_corridors(message)

    def _take_corridors(self, corridors: CorridorSet) -> None:
        if corridors.sector != self._setup.sector.id:
            _log.warning(
                'the station watches sector "%s" and this node\'s file is of "%s": its corridors are not taken',
                corridors.sector, self._setup.sector.id,
            )
            return
        if corridors.version == self._corridors.version:
            return
        try:
            self._corridors = CorridorMap(corridors, self._setup.sector.frame)
        except (ValueError, shapely.errors.ShapelyError) as error:
            _log.warning("corridors %s of the station cannot be drawn and are not taken: %s", corridors.version, error)
            return
        _log.info("corridors %s taken from the station", corridors.version)


def _is_news(untold: Sighting | UpBody) -> bool:
    """Whether somebody may be waiting for it. What is not: that known tracks go on, or have ended, a better picture of one,
    and how the node is. The first picture of a track comes with the news of it.
    """
    if isinstance(untold, TrackUpdate):
        return untold.state is TrackState.CONFIRMED
    return not isinstance(untold, Sighting | DetectionBatch | Snapshot | NodeHealth)


def open_source(setup: Setup, clock: Clock) -> Source:
    """The source that the settings name. Raises SourceError."""
    s = setup.settings.source
    if s.kind is SourceKind.SIMULATOR:
        return SimulatorSource(s.endpoint, setup.settings.camera.id, max_fps=s.max_fps)
    if s.kind in (SourceKind.RTSP, SourceKind.USB):
        stream: RtspSource | UsbSource
        if s.kind is SourceKind.RTSP:
            stream = RtspSource(s.url, clock, delay_s=s.delay_s, max_fps=s.max_fps)
        else:
            lens = setup.camera.lens
            size = (lens.width_px, lens.height_px)
            stream = UsbSource(s.device, clock, size=size, delay_s=s.delay_s, max_fps=s.max_fps)
        live = setup.key.realm is Realm.LIVE
        return OnlyRealPictures(stream, without_password(s.place)) if live else LabelledPictures(stream)
    return ReplaySource(setup.source, clock, loop=s.loop, max_fps=s.max_fps or None)


def run(config: Path) -> int:
    """Run the node of a settings file until it is told to stop. Raises SettingsError for what a person has to put right."""
    die_with_parent()
    log_to_stderr()
    stop = stop_on_signals()
    cv2.setNumThreads(1)
    clock = WallClock()
    setup = load_setup(config)
    told = len(setup.settings.station.public_key)
    if told != Z85_KEY_CHARACTERS:          # before the minutes that the weights may take
        raise refuse(config, ["station", "public_key"], f"{told} characters; the station's has {Z85_KEY_CHARACTERS}. "
                     "It is the last line that `trailwatch keys new` prints at the station.")
    weights = resolve_weights(setup.settings.detector.model, setup.weights, training=setup.key.realm is Realm.TRAINING)
    try:
        source = open_source(setup, clock)
    except SourceError as error:
        raise refuse(config, ["source", setup.settings.source.kind.place_key], str(error)) from None
    s = setup.settings
    make_folder_private(setup.outbox.parent)
    with contextlib.ExitStack() as open_:
        pictures = PictureBounds(s.pictures.limit_mb * 1_000_000, s.pictures.keep_days)
        outbox = Outbox(setup.outbox, setup.key.node, setup.key.realm, clock, s.outbox_limit_mb * 1_000_000, pictures)
        open_.callback(outbox.close)
        picture = (s.camera.lens.height_px, s.camera.lens.width_px)
        detector, slow = open_detector(config, s.detector, weights, setup.outbox.parent, picture)
        poses = FixedPose(setup.survey) if setup.survey else open_.enter_context(_drone_link(setup, clock))
        checks = open_.enter_context(SelfCheck(setup, clock))
        node = Node(setup, source, detector, poses, outbox, clock, slow, checks)
        try:
            uplink = Uplink(
                s.station.endpoint, s.station.public_key, setup.key, outbox, clock, node.hear, s.station.picture_kbit_per_s
            )
        except ValueError as error:
            raise refuse(config, ["station", "endpoint"], str(error)) from None
        _log.info(
            'node "%s" (%s, boot %d) sees with "%s" through %s', setup.key.node, setup.key.realm.value, outbox.boot,
            s.camera.id, weights.name,
        )
        with uplink:
            node.run(uplink, stop)
    return 0


def _drone_link(setup: Setup, clock: Clock) -> DroneLink:
    # A camera on a mast needs neither MAVLink nor its 9 MB of memory.
    from edge.drone_link import DroneLink
    from edge.drone_pose import DronePoseLimits

    drone = setup.settings.drone
    assert drone is not None        # Setup has a survey or a drone
    mount = None if drone.mount_deg is None else Turn.by_degrees(*drone.mount_deg[::-1])
    limits = DronePoseLimits(setup.sigma, drone.time_sigma_s)
    return DroneLink(drone.connection, drone.system_id, setup.key.realm, setup.sector.frame, limits, mount, clock)
