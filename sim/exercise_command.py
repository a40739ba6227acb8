"""The words of `./trailwatch exercise` and `./trailwatch walktest`: they read arguments and call who does the work."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from wire.settings import SettingsError

if TYPE_CHECKING:
    from sim.sitl import Flown

Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_exercise(parser: argparse.ArgumentParser) -> None:
    """The actions of `exercise`; each sets `words`, a function from arguments to (text, exit status)."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _action(actions, "list", "the exercises of the library", _list)
    check = _action(actions, "check", "read and check an exercise, and say what it is", _check)
    check.add_argument("file", metavar="FILE", help="an exercise file, or a name of the library")
    run = _action(actions, "run", "run an exercise with its processes and a training station", _run)
    run.add_argument("file", metavar="FILE")
    run.add_argument("--keep", type=Path, metavar="DIR", help="put this run's files there; default: a new temporary folder")
    run.add_argument("--weights", type=Path, metavar="PATH", help="detector weights; looked up by name when not given")
    run.add_argument("--headless", action="store_true", help="with nobody to lead it: prints no brief and no passwords")
    run.add_argument("--wait", action="store_true", help="stand at the first moment until somebody says start")
    _with_flown(run)
    run.add_argument("--lockstep", action="store_true", help="one process, no pixels, as fast as it goes; headless")
    run.add_argument("--seed", type=int, help="instead of the file's")
    run.add_argument("--nobody", action="store_true", help="in lockstep: nobody answers alarms")
    orders = "start, pause, resume, faster, slower, freeze, inject ID, end, state"
    say = _action(actions, "say", f"tell a running exercise: {orders}", _say)
    say.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    say.add_argument("order", nargs="+", metavar="ORDER")
    desk = _action(actions, "desk", "the trainer's page: choose, lead, debrief and build exercises in a browser", _desk)
    desk.add_argument("--folder", type=Path, default=Path("~/trailwatch-exercises"), metavar="DIR",
                      help="where your exercises and runs are kept; default: ~/trailwatch-exercises")
    desk.add_argument("--port", type=int, default=8090, help="on this machine alone; default: 8090")
    desk.add_argument("--add", default="", metavar="NAME", help="make an account for another trainer, and leave")
    desk.add_argument("--station", type=Path, action="append", default=[], metavar="FILE",
                      help="settings of a station whose past incidents may become exercises")
    _with_flown(desk)
    past = _action(actions, "from-incident", "make an exercise of what a station recorded, with nobody's name in it", _past)
    past.add_argument("--config", type=Path, required=True, metavar="FILE", help="the station's settings")
    past.add_argument("--incident", default="", metavar="ID", help="for example I-000003; or --from and --to")
    past.add_argument("--from", dest="begins", default="", metavar="TIME", help="for example 2026-11-24T21:10:00+07:00")
    past.add_argument("--to", dest="ends", default="", metavar="TIME")
    past.add_argument("--invent-plates", action="store_true", help="give an invented plate to vehicles that had one")
    past.add_argument("--out", type=Path, required=True, metavar="FILE", help="the exercise to write, NAME.toml")
    score = _action(actions, "score", "score a run", _score)
    score.add_argument("run", type=Path, metavar="RUN")
    score.add_argument("--json", action="store_true")
    debrief = _action(actions, "debrief", "what happened, what mattered, and how it was before", _debrief)
    debrief.add_argument("run", type=Path, metavar="RUN")
    debrief.add_argument("--json", action="store_true")
    debrief.add_argument("--compare", type=Path, action="append", default=[], metavar="RUN", help="an earlier run")
    debrief.add_argument("--csv", type=Path, metavar="DIR", help="write crossings, timeline and people as CSV")
    debrief.add_argument("--pdf", type=Path, metavar="FILE", help="write it to print")
    debrief.add_argument("--language", choices=["vi", "en"], default="vi", help="of the PDF")
    suite = _action(actions, "suite", "measure the product: many crossings in each condition, headless", _suite)
    suite.add_argument("--json", action="store_true")
    suite.add_argument("--short", action="store_true", help="fixed seeds; exit status 1 where it is worse than recorded")
    suite.add_argument("--record", action="store_true", help="with --short: make this the recorded result")
    suite.add_argument("--only", action="append", default=[], metavar="CONDITION")
    suite.add_argument("--crossings", type=int, default=200, metavar="N", help="of each condition, at the least")


def _with_flown(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sitl", type=Path, metavar="PATH", help="drones are a real ArduPilot: an arducopter for SITL")
    parser.add_argument("--connect", default="", metavar="tcp:HOST:PORT",
                        help="the drone is an ArduPilot SITL that runs already, here; its ports: PORT, +2, +3 and +5")


def _flown(a: argparse.Namespace) -> Flown:
    from sim.sitl import Flown

    if a.sitl is not None and a.connect:
        raise SettingsError("give --sitl or --connect, not both")
    return Flown(a.sitl.resolve() if a.sitl is not None else None, a.connect)


def _action(
    actions: Actions, name: str, does: str, words: Callable[[argparse.Namespace], tuple[str, int]]
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=does, description=does)
    parser.set_defaults(words=words)
    return parser


def _list(_: argparse.Namespace) -> tuple[str, int]:
    from sim.exercise_scenario import library, load_exercise

    lines = []
    for path in library():
        e = load_exercise(path)
        about = e.settings.exercise
        lines.append(f"{e.name:20} {about.seconds / 60:4.0f} min  {about.title}\n{'':20}           {about.teaches}")
    return "\n".join(lines), 0


def _check(a: argparse.Namespace) -> tuple[str, int]:
    from sim.exercise_scenario import find_exercise, load_exercise

    e = load_exercise(find_exercise(a.file))
    s = e.settings
    crossers = sum(x.count for x in s.actors if x.role.value == "crosser")
    return (
        f"{e.file}: {s.exercise.title}, {s.exercise.seconds:g} s\n"
        f"  {len(s.actors)} actors ({crossers} who cross), {len(s.cameras)} cameras, {len(s.drones)} drones, "
        f"{len(s.watchlist)} on the watchlist, {len(s.injects)} injects, {len(s.goals)} goals\n  it can be run"
    ), 0


def _run(a: argparse.Namespace) -> tuple[str, int]:
    from sim.exercise_scenario import find_exercise, load_exercise

    exercise = load_exercise(find_exercise(a.file))
    folder = a.keep.resolve() if a.keep else Path(tempfile.mkdtemp(prefix="trailwatch-exercise-"))
    if a.lockstep and (a.sitl is not None or a.connect):
        raise SettingsError("--sitl and --connect fly in real time; leave out --lockstep")
    if a.lockstep:
        from sim.exercise_debrief import debrief, summary
        from sim.exercise_run import LockstepRun

        LockstepRun(exercise, folder, seed=a.seed, answers=not a.nobody).run()
        text = summary(debrief(folder))
        if a.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
            return text, 0
        return f"{text}\n\neverything of this run is in {folder}", 0
    if a.seed is not None or a.nobody:
        raise SettingsError("--seed and --nobody belong to --lockstep; with processes the file's seed holds")
    from sim.director import DirectorRequest, direct

    return "", direct(DirectorRequest(exercise, folder, a.weights, a.headless, a.wait, _flown(a)))


def _say(a: argparse.Namespace) -> tuple[str, int]:
    from sim.director_orders import tell

    return tell(a.run, " ".join(a.order)), 0


def _desk(a: argparse.Namespace) -> tuple[str, int]:
    from sim.exercise_desk import run_desk

    return run_desk(a.folder, a.port, a.add, a.station, _flown(a))


def _past(a: argparse.Namespace) -> tuple[str, int]:
    from sim.exercise_build import check_text, save
    from sim.exercise_from_past import Wanted, from_past, record_taking, write_exercise
    from station.command_line import machine_user
    from station.settings import load_station_settings
    from wire.clock import WallClock

    file = a.out.resolve()
    wanted = Wanted(a.incident, _ns(a.begins, "--from"), _ns(a.ends, "--to"), a.invent_plates)
    settings = load_station_settings(a.config)
    made = from_past(settings, wanted, file.stem)
    checked, exercise = check_text(file.parent, file.stem, write_exercise(made, file))
    record_taking(settings, f"{machine_user()} (command line)", wanted, made, WallClock())
    save(file.parent, checked, file.stem, "")
    people = sum(x.count for x in exercise.settings.actors) if exercise is not None else 0
    lines = [f"{file}: {people} of those who were there go their ways again", *(f"  left out: {w}" for w in made.left_out)]
    return "\n".join(lines), 0


def _ns(text: str, option: str) -> int:
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.min
    if at.tzinfo is None:
        raise SettingsError(f"{option} {text}: give date, time and offset from UTC, for example 2026-11-24T21:10:00+07:00")
    return round(at.timestamp() * 1_000_000) * 1000


def _score(a: argparse.Namespace) -> tuple[str, int]:
    from sim.exercise_debrief import debrief, summary

    found = debrief(a.run)
    return (msgspec.json.encode(found.score).decode("utf-8") if a.json else summary(found)), 0


def _debrief(a: argparse.Namespace) -> tuple[str, int]:
    from sim.exercise_debrief import debrief, read_earlier, report, write_csv

    found = debrief(a.run, [read_earlier(r) for r in a.compare])
    written = []
    if a.csv is not None:
        written += [str(p) for p in write_csv(found, a.csv)]
    if a.pdf is not None:
        from sim.exercise_debrief_pdf import debrief_pdf

        try:
            a.pdf.write_bytes(debrief_pdf(found, a.language))
        except OSError as error:
            raise SettingsError(f"--pdf {a.pdf}: cannot be written: {error.strerror}") from None
        written.append(str(a.pdf))
    text = msgspec.json.encode(found).decode("utf-8") if a.json else report(found)
    return text + "".join(f"\nwritten: {w}" for w in written if not a.json), 0


def _suite(a: argparse.Namespace) -> tuple[str, int]:
    from sim.exercise_suite import SHORT_FILE, as_miss_table, as_table, read_short, run_suite, worse_than
    from wire.process import log_to_stderr

    log_to_stderr()
    result = run_suite(a.short, a.only, a.crossings)
    text = msgspec.json.encode(result).decode("utf-8") if a.json else f"{as_table(result)}\n\n{as_miss_table(result)}"
    if a.short and a.record:
        SHORT_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
        return f"{text}\n{SHORT_FILE}: recorded", 0
    if a.short and not a.only:
        worse = worse_than(read_short(), result)
        return (text if a.json else "\n".join([text, *worse])), 1 if worse else 0
    return text, 0


def add_walktest(parser: argparse.ArgumentParser) -> None:
    """The arguments of `walktest`."""
    parser.set_defaults(words=_walktest)
    parser.add_argument("gpx", type=Path, metavar="GPX", help="what the walker's phone or receiver wrote")
    parser.add_argument("--station", required=True, metavar="URL", help="of the station, for example http://127.0.0.1:8080")
    parser.add_argument("--name", required=True, help="an account of the station")
    parser.add_argument("--sector", type=Path, required=True, metavar="FILE", help="the station's sector file")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="asked for when not given")
    parser.add_argument("--corridor", metavar="ID", help="only this one")
    parser.add_argument("--within-s", type=float, default=60.0, metavar="S", help="an alarm so long after a pass is its own")
    parser.add_argument("--keep", action="store_true", help="tell the station, which shows it on its layer of coverage")
    parser.add_argument("--json", action="store_true")


def _walktest(a: argparse.Namespace) -> tuple[str, int]:
    import getpass

    from sim.walktest import as_words, walktest

    if a.password_file is not None:
        try:
            password = a.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"--password-file {a.password_file}: {error.strerror}") from None
    else:
        password = getpass.getpass(f"password of {a.name}: ")
    result = walktest(a.gpx, a.station, a.name, password, a.sector, a.corridor, a.within_s, a.keep)
    return (msgspec.json.encode(result).decode("utf-8") if a.json else as_words(result)), 0
