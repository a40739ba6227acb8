"""A mind with a script instead of a head: the real sockets and the real structs, and whatever a test wants it to say."""

from __future__ import annotations

import queue
import threading
import time

import msgspec
import zmq

from station.coverage_picture import SetWeather, TellWalk
from station.duty import NoteWatch
from station.fleet_requests import DropOffer, FollowContact
from station.picture import (
    AlarmEventView,
    AlarmState,
    AlarmView,
    ChangeAlarm,
    Counts,
    DecideMatch,
    Delta,
    Done,
    GetPicture,
    MatchState,
    MatchView,
    Picture,
    Refused,
    Request,
    Sentence,
)


class ScriptedMind:
    """Runs in a thread of its own; say() publishes a delta, `asked` holds every request but GetPicture."""

    def __init__(self, settings, picture=None):
        self.settings = settings
        settings.make_folders()
        names = ("contacts", "alarms", "matches", "sensors", "nodes", "drones", "coverage", "fleets")
        self.values = {name: {} for name in names}
        self.counts = Counts(0, 0, {})
        self.coverage_whole = None
        self.turn = 0
        self.asked = []
        self.screens = []       # as the web server has told, one after the other
        self.pictures_given = 0
        self.answering = True
        self._outgoing = queue.Queue()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._lock = threading.RLock()
        if picture:
            self._take(picture)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def close(self):
        self._stop.set()
        self._thread.join(5)

    def say(self, *, skip=0, **changes):
        """Publish what changed; skip > 0 swallows so many turns, as a lost message does."""
        with self._lock:
            for name, values in changes.items():
                if name == "contacts_gone":
                    for gone in values:
                        self.values["contacts"].pop(gone, None)
                elif name in ("counts", "coverage_whole"):
                    setattr(self, name, values)
                else:
                    self.values[name].update((_id(v), v) for v in values)
            self.turn += 1 + skip
            delta = Delta(turn=self.turn, at_ns=time.time_ns(), **changes)
        self._outgoing.put(msgspec.msgpack.encode(delta))

    def picture(self):
        with self._lock:
            return Picture(
                realm=self.settings.realm, turn=self.turn, at_ns=time.time_ns(), counts=self.counts,
                coverage_whole=self.coverage_whole,
                **{name: tuple(values.values()) for name, values in self.values.items()},
            )

    def _take(self, picture):
        for name, values in self.values.items():
            values.update((_id(v), v) for v in getattr(picture, name))
        self.counts, self.coverage_whole = picture.counts, picture.coverage_whole

    def _run(self):
        context = zmq.Context()
        feed = context.socket(zmq.PUB)
        feed.bind(self.settings.mind_feed)
        ask = context.socket(zmq.ROUTER)
        ask.bind(self.settings.mind_ask)
        decoder = msgspec.msgpack.Decoder(Request)
        self._ready.set()
        while not self._stop.is_set():
            while not self._outgoing.empty():
                feed.send(self._outgoing.get())
            if not ask.poll(10):
                continue
            *route, question = ask.recv_multipart()
            if self.answering:
                ask.send_multipart([*route, msgspec.msgpack.encode(self._answer(decoder.decode(question)))])
        context.destroy(linger=0)

    def _answer(self, request):
        if isinstance(request, GetPicture):
            self.pictures_given += 1
            return self.picture()
        if isinstance(request, NoteWatch):
            self.screens.append(request.screens)
            return Done()
        self.asked.append(request)
        with self._lock:
            if isinstance(request, ChangeAlarm):
                return self._change_alarm(request)
            if isinstance(request, SetWeather | TellWalk | FollowContact | DropOffer):
                return Done()
            if isinstance(request, DecideMatch):
                return self._decide_match(request)
        return Refused(Sentence("ask.refused.not_understood", {}))      # what is not in the script

    def _change_alarm(self, request):
        alarm: AlarmView | None = self.values["alarms"].get(request.alarm)
        if alarm is None:
            return Refused(Sentence("alarm.refused.unknown", {"alarm": request.alarm}))
        if alarm.state is request.to:
            return Refused(Sentence("alarm.refused.already", {
                "state": alarm.state.value, "person": alarm.events[-1].person, "at_ns": alarm.events[-1].at_ns}))
        event = AlarmEventView(request.to, time.time_ns(), request.person, request.reason)
        self.say(alarms=(msgspec.structs.replace(alarm, state=AlarmState(request.to), events=(*alarm.events, event)),))
        return Done()

    def _decide_match(self, request):
        match: MatchView | None = self.values["matches"].get(request.match)
        if match is None or match.state is not MatchState.QUESTION:
            return Refused(Sentence("match.refused.already", {"state": "rejected", "person": "an", "at_ns": time.time_ns()}))
        self.say(matches=(msgspec.structs.replace(match, state=request.to),))
        return Done()


def _id(value):
    return next(v for v in (getattr(value, name, None) for name in ("id", "node", "drone", "corridor")) if v is not None)
