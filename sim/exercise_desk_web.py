"""The desk's pages and questions about leading: which exercises there are, how the running one stands, and debriefs.

Every route but the login asks for the role trainer. What is refused by the program's own words (a file with line and key)
comes as the sentence "trainer.refused" with these words in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import anyio.to_thread
import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from geofences.sector import load_sector
from sim.desk_words import REFUSED
from sim.exercise_debrief import Debrief, csv_text
from sim.exercise_desk_runs import Runs
from sim.exercise_ground import ground_of
from sim.exercise_kept import read_kept
from sim.exercise_log import read_log
from sim.exercise_scenario import Exercise, load_exercise
from sim.exercise_settings import AnyInject, GoalEntry, InLanguages
from sim.truth_log import read_courses
from sim.world import ids_by_name
from station.access import Role, Session
from station.geography import draw_geography
from station.guard import RefusedRequest, answer_json, read_body
from station.picture import Sentence
from station.shelf import Shelf
from station.web_door import Door, to_login
from wire.clock import NS_PER_S
from wire.settings import SettingsError

TRAINERS = frozenset({Role.TRAINER})
PAGES = ("/", "/builder")
ORDERS = ("start", "pause", "freeze", "resume", "faster", "slower", "end")
TRACK_EVERY_S = 1.0
T = TypeVar("T")


class ExerciseLine(msgspec.Struct, frozen=True):
    """One exercise to choose. refused: why it cannot be run; then the rest is empty."""

    name: str
    title: str
    teaches: str
    seconds: float
    is_own: bool
    refused: str
    words: InLanguages


class ExerciseDetail(msgspec.Struct, frozen=True):
    name: str
    title: str
    teaches: str
    seconds: float
    is_own: bool
    brief: str
    may_use: tuple[str, ...]
    starts: str
    people: int
    actors: tuple[tuple[str, str, str, int, float], ...]        # name, kind, role, count, enters_s
    cameras: tuple[str, ...]
    drones: tuple[str, ...]
    subjects: tuple[str, ...]
    injects: tuple[AnyInject, ...]
    goals: tuple[GoalEntry, ...]
    words: InLanguages


class StartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    exercise: str


class OrderRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """order: one of ORDERS, or inject with the id of one."""

    order: Annotated[str, msgspec.Meta(max_length=20)]
    inject: Annotated[str, msgspec.Meta(max_length=40)] = ""


class Track(msgspec.Struct, frozen=True):
    """Somebody's whole way. at: seconds of the exercise, latitude, longitude."""

    name: str
    kind: str
    role: str
    party: int
    at: tuple[tuple[float, float, float], ...]


class Shown(msgspec.Struct, frozen=True):
    """What the trainees' map showed at a moment: id, latitude, longitude, class."""

    at_s: float
    contacts: tuple[tuple[str, float, float, str], ...]


class Tracks(msgspec.Struct, frozen=True):
    """The truth of a run that is over, beside what was on the screen."""

    seconds: float
    starts_ns: int
    tracks: tuple[Track, ...]
    shown: tuple[Shown, ...]


class DeskRoutes:
    def __init__(self, door: Door, runs: Runs) -> None:
        self._door = door
        self._runs = runs
        self._shelf = Shelf(door.settings.realm)
        sector = door.settings.sector
        self._geography = msgspec.json.encode(draw_geography(load_sector(sector), sector))

    def routes(self) -> list[BaseRoute]:
        get, post = ["GET"], ["POST"]
        return [
            *(Route(path, self.page) for path in PAGES),
            Route("/login", self.login_page),
            Route("/static/{name:path}", self.static),
            Route("/api/geography", self.geography),
            Route("/api/layers", self.layers),
            Route("/api/desk/exercises", self.exercises),
            Route("/api/desk/exercises/{name}", self.exercise),
            Route("/api/desk/exercises/{name}/ground", self.ground),
            Route("/api/desk/start", self.start, methods=post),
            Route("/api/desk/order", self.order, methods=post),
            Route("/api/desk/running", self.running),
            Route("/api/desk/truth", self.truth),
            Route("/api/desk/score", self.score),
            Route("/api/desk/runs", self.all_runs),
            Route("/api/desk/runs/{run}/debrief", self.debrief),
            Route("/api/desk/runs/{run}/ground", self.run_ground),
            Route("/api/desk/runs/{run}/tracks", self.tracks),
            Route("/api/desk/runs/{run}/debrief.pdf", self.pdf, methods=get),
            Route("/api/desk/runs/{run}/{table}.csv", self.csv, methods=get),
            Route("/api/desk/runs/{run}/review", self.review, methods=post),
        ]

    # ------------------------------------------------------------------------------------------------------- pages

    async def page(self, request: Request) -> Response:
        if await self._door.entered(request) is None:
            return to_login(request)
        return self._shelf.response(request, "trainer.html")

    async def login_page(self, request: Request) -> Response:
        return self._shelf.response(request, "login.html")

    async def static(self, request: Request) -> Response:
        return self._shelf.response(request, request.path_params["name"])

    async def geography(self, request: Request) -> Response:
        await self._door.known(request)
        return Response(self._geography, media_type="application/json")

    async def layers(self, request: Request) -> Response:
        """The map asks for an agency's own layers as well; those are a station's, and a desk has none."""
        await self._door.known(request)
        return answer_json([])

    # --------------------------------------------------------------------------------------------------- exercises

    async def exercises(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await anyio.to_thread.run_sync(self._list))

    def _list(self) -> list[ExerciseLine]:
        lines = []
        for file in self._runs.files():
            is_own = self._runs.is_own(file)
            try:
                s = load_exercise(file).settings
                about = s.exercise
                lines.append(ExerciseLine(file.stem, about.title, about.teaches, about.seconds, is_own, "", s.words))
            except SettingsError as error:
                lines.append(ExerciseLine(file.stem, file.stem, "", 0.0, is_own, str(error), InLanguages()))
        return lines

    async def exercise(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(self._detail, request.path_params["name"]))

    def _detail(self, name: str) -> ExerciseDetail:
        file = self._runs.file(name)
        e = load_exercise(file)
        s, about = e.settings, e.settings.exercise
        return ExerciseDetail(
            name, about.title, about.teaches, about.seconds, self._runs.is_own(file), s.trainees.brief,
            tuple(s.trainees.may_use), s.starts.isoformat(), sum(a.count for a in s.actors if a.role.value == "crosser"),
            tuple((a.name, a.kind.value, a.role.value, a.count, a.enters_s) for a in s.actors),
            tuple(c.id for c in s.cameras), tuple(d.id for d in s.drones), tuple(w.label for w in s.watchlist), s.injects,
            s.goals, s.words,
        )

    async def ground(self, request: Request) -> Response:
        await trainer(self._door, request)
        name = request.path_params["name"]
        return answer_json(await in_thread(lambda n: ground_of(load_exercise(self._runs.file(n))), name))

    # ----------------------------------------------------------------------------------------------------- leading

    async def start(self, request: Request) -> Response:
        await changing_trainer(self._door, request)
        wanted = await read_body(request, StartRequest)
        return answer_json({"run": await in_thread(self._runs.start, wanted.exercise)})

    async def order(self, request: Request) -> Response:
        await changing_trainer(self._door, request)
        wanted = await read_body(request, OrderRequest)
        if wanted.order != "inject" and wanted.order not in ORDERS:
            raise RefusedRequest(400, Sentence("refused.http", {"status": 400}))
        await in_thread(self._runs.order, f"inject {wanted.inject}" if wanted.order == "inject" else wanted.order)
        return answer_json(None)

    async def running(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(lambda _: self._runs.running(), ""))

    async def truth(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(lambda _: self._runs.truth(), ""))

    async def score(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(lambda _: self._runs.so_far(), ""))

    # ---------------------------------------------------------------------------------------------------- debriefs

    async def all_runs(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(lambda _: self._runs.all(), ""))

    async def debrief(self, request: Request) -> Response:
        await trainer(self._door, request)
        compare = tuple(request.query_params.getlist("compare"))[:4]
        return answer_json(await in_thread(lambda run: self._runs.debrief(run, compare), request.path_params["run"]))

    async def run_ground(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(lambda r: ground_of(self._exercise_of(r)), request.path_params["run"]))

    def _exercise_of(self, run: str) -> Exercise:
        return read_kept(self._runs.folder_of(run))

    async def tracks(self, request: Request) -> Response:
        await trainer(self._door, request)
        return answer_json(await in_thread(self._tracks, request.path_params["run"]))

    def _tracks(self, run: str) -> Tracks:
        folder, exercise = self._runs.folder_of(run), self._exercise_of(run)
        log = list(read_log(folder / "exercise.jsonl"))
        starts_ns = next((int(e["starts_ns"]) for e in log if e["what"] == "began"), 0)
        names = {i: name for name, ids in ids_by_name(exercise.scenario).items() for i in ids}
        tracks = []
        for c in read_courses(folder / "truth.db"):
            at_s = (c.at_ns - starts_ns) / NS_PER_S
            # One entry a second is enough to draw: whatever is first in its second.
            first = np.unique(np.floor(at_s / TRACK_EVERY_S), return_index=True)[1]
            degrees = exercise.sector.frame.from_enu(c.place_m[first, :2])
            tracks.append(Track(names.get(c.actor, ""), c.kind.value, c.role.value, c.party, tuple(
                (round(float(s), 1), round(float(lat), 6), round(float(lon), 6))
                for s, (lat, lon) in zip(at_s[first], degrees, strict=True)
            )))
        shown = tuple(
            Shown(float(e["at_s"]), tuple((c[0], round(c[1], 6), round(c[2], 6), c[4]) for c in e["contacts"]))
            for e in log if e["what"] == "picture"
        )
        return Tracks(max((float(e["at_s"]) for e in log), default=0.0), starts_ns, tuple(tracks), shown)

    async def pdf(self, request: Request) -> Response:
        await trainer(self._door, request)
        run = request.path_params["run"]
        language = "en" if request.query_params.get("language") == "en" else "vi"
        data = await in_thread(lambda r: _printed(self._runs.debrief(r), language), run)
        return _file(data, "application/pdf", f"debrief-{run}.pdf")

    async def csv(self, request: Request) -> Response:
        await trainer(self._door, request)
        run, table = request.path_params["run"], request.path_params["table"]
        tables = await in_thread(lambda r: csv_text(self._runs.debrief(r)), run)
        if table not in tables:
            raise RefusedRequest(404, Sentence("refused.http", {"status": 404}))
        return _file(tables[table].encode("utf-8-sig"), "text/csv; charset=utf-8", f"{table}-{run}.csv")

    async def review(self, request: Request) -> Response:
        await changing_trainer(self._door, request)
        return answer_json(await in_thread(self._runs.review, request.path_params["run"]))


async def trainer(door: Door, request: Request) -> Session:
    return await door.known(request, roles=TRAINERS)


async def changing_trainer(door: Door, request: Request) -> Session:
    return await door.changing(request, roles=TRAINERS)


async def in_thread(work: Callable[[str], T], argument: str) -> T:
    """Raises RefusedRequest 409 with the program's words for what it refuses."""
    try:
        return await anyio.to_thread.run_sync(work, argument)
    except SettingsError as error:
        raise RefusedRequest(409, Sentence("trainer.refused", REFUSED.within("words", str(error)))) from None


def _file(data: bytes, media: str, name: str) -> Response:
    return Response(data, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _printed(debrief: Debrief, language: str) -> bytes:
    # What prints is loaded when somebody asks for it, as in the station's own pages.
    from sim.exercise_debrief_pdf import debrief_pdf

    return debrief_pdf(debrief, language)
