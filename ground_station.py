"""Trailwatch's command line, and nothing else: reads arguments, calls the room that does the work, prints its words."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from station.basemap_command import add_basemap
from station.command_line import (
    Commands,
    Said,
    actions_with_config,
    command,
    machine_user,
    person_of,
    positive,
    station_of,
    with_config,
)
from station.watchlist_command import add_watchlist
from wire.process import die_with_parent
from wire.settings import SettingsError

ROOT = Path(__file__).resolve().parent
Call = Callable[[argparse.Namespace], int]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


# ------------------------------------------------------------------------------------------------------- processes


def _edge(a: argparse.Namespace) -> int:
    from edge.node import run

    return run(a.config)


def _calibrate(a: argparse.Namespace) -> int:
    from edge.calibration import Request, run

    request = Request(a.node, a.points, a.focal, a.k1, a.click_px, a.write, a.draw, a.picture, a.preset)
    if not a.page:
        print(run(request))
        return 0
    from edge.calibration_page import Page

    page = Page(request)
    print(f"{page.address}\nOpen it in a browser of this machine; Ctrl-C ends it. Points go to {a.points}.", flush=True)
    page.serve()
    return 0


def _serve(a: argparse.Namespace) -> int:
    from station.app import serve

    return serve(a.config, only=a.only)


def _fleet(a: argparse.Namespace) -> int:
    from fleet.service import run

    return run(a.config)


def _signing_new(a: argparse.Namespace) -> Said:
    from fleet.signing_setup import run_new

    return run_new(a)


def _signing_give(a: argparse.Namespace) -> Said:
    from fleet.signing_setup import run_give

    return run_give(a)


def _flights(a: argparse.Namespace) -> Said:
    from fleet.flight_command import run

    return run(a)


def _autopilot(a: argparse.Namespace) -> int:
    if a.sitl is not None:
        from sim.sitl import become_sitl

        return become_sitl(a.config, a.sitl)
    from sim.autopilot import run

    return run(a.config)


def _world(a: argparse.Namespace) -> int:
    from sim.world_process import run

    return run(a.config)


def _camera(a: argparse.Namespace) -> int:
    from sim.camera_server import run

    return run(a.config)


def _eyes(a: argparse.Namespace) -> int:
    from sim.shift_eyes import run

    return run(a.config)


def _demo(a: argparse.Namespace) -> int:
    if a.shift:
        from sim.shift import ShiftRequest, run_shift

        return run_shift(ShiftRequest(a.headless, a.seconds, a.json, a.keep))
    from sim.demo import DemoRequest, run

    return run(DemoRequest(a.video, a.weights, a.headless, a.seconds, a.json, a.keep))


def _exercise(a: argparse.Namespace) -> int:
    text, status = a.words(a)
    if text:
        print(text)
    return int(status)


def _bench(a: argparse.Namespace) -> int:
    import msgspec

    from benchmarks.form import as_table, run

    result = run(a.name)
    print(msgspec.json.encode(result).decode("utf-8") if a.json else as_table(result))
    if a.plot is not None:
        draw = getattr(importlib.import_module(f"benchmarks.{a.name}"), "draw", None)
        if draw is None:
            raise SettingsError(f"bench {a.name}: has nothing to draw; leave out --plot")
        draw(a.plot)
    return 0


def _test(a: argparse.Namespace) -> int:
    """What is asked for, in one process; everything where nothing is, with several workers: many tests wait for real time.

    Tests in the browser have a run of their own, with fewer workers: each drives Chromium, which draws with all processors.
    The main job has one too, and nothing beside it: it promises how late news may be.
    """
    pytest = [sys.executable, "-m", "pytest"]
    # Tests start hundreds of processes: with this set, each would compile all of the program anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if a.arguments:
        return subprocess.call([*pytest, *a.arguments], cwd=ROOT)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # A worker that dies ends the run with the name of its test. Started anew, it can leave the others waiting for ever:
    # what the dead one had finished is handed out again, as nothing to do, and a worker begins its last test when it knows
    # of one after it (pytest-xdist 3.8, LoadScopeScheduling.remove_node).
    side_by_side = ["--dist", "loadgroup", "--no-loadscope-reorder", "--max-worker-restart", "0", "-q"]
    runs = [
        ["-n", str(min(2 * cores, 8)), "--ignore", "tests/browser", "--ignore", "tests/test_main_job.py"],
        ["-n", "1", "tests/test_main_job.py"],
        ["-n", str(max(1, min(cores, 8))), "tests/browser"],
    ]
    failed = [subprocess.call([*pytest, *side_by_side, *run], cwd=ROOT) for run in runs]
    return max(failed)


# ------------------------------------------------------------------------------------------------------- the station


def _keys_new(a: argparse.Namespace) -> int:
    from wire.keys import AllowedNode, NodeKind, append_allowed, load_station_key, make_node_key, write_private
    from wire.units import Realm

    if not NAME.fullmatch(a.node):
        raise SettingsError(f'--node "{a.node}": a name has letters, digits, - and _, and starts with a letter or a digit')
    key = make_node_key(a.node, NodeKind(a.kind), Realm(a.realm))
    try:
        write_private(a.out, key)
    except OSError as error:
        raise SettingsError(f"--out {a.out}: {error.strerror}. A key is never overwritten; name another file.") from None
    entry = AllowedNode(key.node, key.kind, key.realm, key.public)
    print(f"{a.out}: the key of {key.node}, realm {key.realm.value}. Move it to the node; it is a secret.")
    if a.allow:
        append_allowed(a.allow, entry)
        print(f"{a.allow}: {key.node} may connect.")
        station_key = a.allow.parent / "station.key"
        if station_key.exists():
            print(f'in the node\'s settings: station.public_key = "{load_station_key(station_key).public}"')
    else:
        print("for the station's nodes.toml:\n")
        print(f"[[nodes]]\nnode = '{entry.node}'\nkind = '{entry.kind.value}'\nrealm = '{entry.realm.value}'")
        print(f"public = '{entry.public}'")
    return 0


def _people_add(a: argparse.Namespace) -> int:
    from station.access import AccessError, Role, add_person

    try:
        password = add_person(station_of(a), a.name, Role(a.role))
    except AccessError as error:
        raise SettingsError(str(error)) from None
    print(f"{a.name} may log in as {a.role}, once, with {password} and then chooses a password.")
    return 0


def _people_password(a: argparse.Namespace) -> int:
    from station.access import AccessError, set_password

    try:
        password = set_password(station_of(a), a.name)
    except AccessError as error:
        raise SettingsError(str(error)) from None
    print(f"{a.name} may log in, once, with {password} and then chooses a password.")
    return 0


def _people_change(a: argparse.Namespace) -> int:
    from station.access import AccessError, Role, open_people

    people = open_people(station_of(a))
    try:
        if a.change == "role":
            people.set_role(a.name, Role(a.role))
        else:
            people.set_disabled(a.name, a.change == "disable")
    except AccessError as error:
        raise SettingsError(str(error)) from None
    finally:
        people.close()
    said = {"role": "has another role", "disable": "logs in no more", "enable": "may log in again"}
    print(f"{a.name} {said[a.change]}.")
    return 0


def _people_list(a: argparse.Namespace) -> int:
    from station.access import list_people

    for person in list_people(station_of(a)):
        state = "disabled" if person.disabled else "must choose a password" if person.must_change_password else ""
        print(f"{person.name:32} {person.role.value:14} {state}")
    return 0


def _coverage(a: argparse.Namespace) -> int:
    from station.coverage_command import run

    print(run(station_of(a), as_json=a.json, debt=a.debt))
    return 0


def _notify(a: argparse.Namespace) -> int:
    from station.notifier import try_notifiers, waiting_notices

    settings = station_of(a)
    if not settings.notifiers:
        raise SettingsError(f"{a.config}: notifiers: there are none; docs/administrator.md shows how to add one")
    if not a.test:
        waiting = {name: (count, error) for name, count, error in waiting_notices(settings)}
        for n in settings.notifiers:
            count, error = waiting.get(n.name, (0, ""))
            print(f"{n.name:20} {count} waiting{f'; {error}' if error else ''}")
        return 0
    told = try_notifiers(settings, f"{machine_user()} (command line)")
    for name, error in told.items():
        print(f"{name:20} {'NOT told: ' + error if error else 'told'}")
    return 1 if any(told.values()) else 0


def _record_verify(a: argparse.Namespace) -> int:
    from station.record import public_key_file, verify

    settings = station_of(a)
    verdict = verify(a.record or settings.record_db, a.key or public_key_file(settings))
    print(verdict)
    return 0 if verdict.broken is None else 1


def _store(name: str) -> Call:
    """A command of station.store_command, in the name of whoever is logged in to this machine."""

    def call(a: argparse.Namespace) -> int:
        from station import store_command as words

        print(getattr(words, name)(station_of(a), f"{machine_user()} (command line)", a))
        return 0

    return call


def _export(a: argparse.Namespace) -> int:
    from station.exports_command import export

    print(export(station_of(a), person_of(a), a))
    return 0


def _models(words: Callable[[argparse.Namespace], str]) -> Call:
    def call(a: argparse.Namespace) -> int:
        print(words(a))
        return 0

    return call


def _models_frames(a: argparse.Namespace) -> int:
    from sim.frames_write import run

    return run(a)


# ------------------------------------------------------------------------------------------------------- the arguments


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="trailwatch", description="Eyes on forest trails along a land border.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_main_job(commands)
    _add_processes(commands)
    _add_station(commands)
    add_watchlist(commands)
    _add_exercises(commands)
    bench = _command(commands, "bench", "measure one of the claims in benchmarks/", _bench)
    bench.add_argument("name", metavar="NAME", help="for example: world")
    bench.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    bench.add_argument("--plot", type=Path, metavar="SVG", help="draw what was measured, where there is something to draw")
    _command(commands, "test", "run every test; what follows is handed to pytest", _test)
    return top


def _command(commands: Commands, name: str, does: str, call: Call) -> argparse.ArgumentParser:
    p = commands.add_parser(name, help=does, description=does)
    p.set_defaults(call=call)
    return p


def _add_main_job(commands: Commands) -> None:
    demo = _command(commands, "demo", "the main job on this machine: two cameras, one drone, a ground station", _demo)
    demo.add_argument("--video", type=Path, metavar="PATH", help="a recording that both cameras play in a loop")
    demo.add_argument("--weights", type=Path, metavar="PATH", help="detector weights; looked up by name when not given")
    demo.add_argument("--headless", action="store_true", help="open no browser, delete the run's folder at the end")
    demo.add_argument("--seconds", type=positive, metavar="N", help="stop after N seconds; without it, at Ctrl-C")
    demo.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    demo.add_argument("--keep", type=Path, metavar="DIR", help="put this run's files there and leave them")
    demo.add_argument("--shift", action="store_true", help="three drones fly a shift, led by a scripted pilot, instead")


def _add_processes(commands: Commands) -> None:
    with_config(_command(commands, "edge", "run a node beside a camera or on a drone", _edge))
    calibrate = _command(commands, "calibrate", "find where a camera looks, from points of its picture and map", _calibrate)
    calibrate.add_argument("node", type=Path, metavar="NODE.toml", help="the settings of the camera's node")
    calibrate.add_argument("--points", type=Path, required=True, metavar="FILE", help="pixels and positions (TOML)")
    calibrate.add_argument("--preset", default="", metavar="NAME", help="of a camera that turns: where it was")
    calibrate.add_argument("--focal", action="store_true", help="solve for the focal length too")
    calibrate.add_argument("--k1", action="store_true", help="solve for the lens's barrel or cushion too")
    calibrate.add_argument("--click-px", type=positive, default=1.5, metavar="PX", help="one sigma of a click")
    calibrate.add_argument("--picture", type=Path, metavar="PATH", help='clicked on; "source": the node\'s own')
    calibrate.add_argument("--draw", type=Path, metavar="PNG", help="write the picture with clicks and results drawn in")
    calibrate.add_argument("--page", action="store_true", help="click the points on a page of this machine")
    calibrate.add_argument("--write", action="store_true", help="put the result into the settings; keeps a copy of the old")
    serve = with_config(_command(commands, "serve", "run a ground station: inbox, mind and web server", _serve))
    serve.add_argument("--only", choices=["inbox", "mind", "web", "notify"], help="start one of its processes alone")
    with_config(_command(commands, "fleet", "run the fleet service, which commands the drones", _fleet))
    _add_fleet(commands)
    autopilot = with_config(_command(commands, "autopilot", "run a simulated drone behind real MAVLink", _autopilot))
    autopilot.add_argument("--sitl", type=Path, metavar="PATH", help="fly a real ArduPilot's SITL (an arducopter) instead")
    with_config(_command(commands, "world", "run a simulated world for cameras to watch", _world))
    with_config(_command(commands, "camera", "run a camera of the simulated world for its node", _camera))
    with_config(_command(commands, "eyes", "run cameras of the simulated world without pixels, and their nodes", _eyes))


def _add_fleet(commands: Commands) -> None:
    flights = with_config(command(commands, "flights", "the flight book of a fleet service, and a flight's way", _flights))
    flights.add_argument("--flight", type=int, metavar="N", help="one flight: its way is written instead of the list")
    flights.add_argument("--out", type=Path, metavar="FILE", help="where to: .kml or .gpx")
    signing = commands.add_parser("signing", help="MAVLink 2 signing keys of drones")
    actions = signing.add_subparsers(required=True, metavar="ACTION")
    new = command(actions, "new", "make a drone's signing key", _signing_new)
    new.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the key is written; never overwritten")
    give = with_config(command(actions, "give", "give a drone its key over a cable, and see that it signs", _signing_give))
    give.add_argument("--drone", required=True, help="its name in the fleet's settings")
    give.add_argument("--connect", metavar="CONNECTION", help="the cable, instead of its connection in the settings")


def _add_station(commands: Commands) -> None:
    keys = commands.add_parser("keys", help="make the keys of nodes").add_subparsers(required=True, metavar="ACTION")
    new = _command(keys, "new", "make the key of one node, for one realm", _keys_new)
    new.add_argument("--node", required=True, help="the node's name")
    new.add_argument("--kind", required=True, choices=["camera", "drone", "fleet"])
    new.add_argument("--realm", required=True, choices=["live", "training"])
    new.add_argument("--out", required=True, type=Path, metavar="FILE", help="where the key is written")
    new.add_argument("--allow", type=Path, metavar="FILE", help="a station's nodes.toml, to which the node is added")
    actions = actions_of_people = actions_with_config(commands.add_parser("people", help="accounts of the ground station"))
    add = _command(actions, "add", "make an account with a one-time password", _people_add)
    add.add_argument("name")
    roles = ["operator", "pilot", "trainer", "supervisor", "auditor", "administrator"]
    add.add_argument("--role", required=True, choices=roles)
    _command(actions, "list", "list the accounts", _people_list)
    _command(actions, "password", "give a one-time password to somebody", _people_password).add_argument("name")
    for change, does in (
        ("role", "give somebody another role"), ("disable", "let an account in no more; it is never deleted"),
        ("enable", "let a disabled account in again"),
    ):
        p = _command(actions, change, does, _people_change)
        p.set_defaults(change=change)
        p.add_argument("name")
        if change == "role":
            p.add_argument("--role", required=True, choices=roles)
    coverage = with_config(_command(commands, "coverage", "which trail is seen now, and since when it was not", _coverage))
    coverage.add_argument("--debt", action="store_true", help="what nobody sees, the heaviest first, for planners")
    coverage.add_argument("--json", action="store_true", help="print JSON instead of a table")
    actions = actions_with_config(commands.add_parser("record", help="who looked at what, who decided what"))
    verify = _command(actions, "verify", "check the chain, offline", _record_verify)
    verify.add_argument("--record", type=Path, metavar="FILE", help="another record.db, for example from a backup")
    verify.add_argument("--key", type=Path, metavar="FILE", help="its public key, when it is another station's")
    _add_store(commands, actions_of_people)
    add_basemap(commands)
    _add_models(commands)
    _add_notify(commands)


def _add_store(commands: Commands, people: Commands) -> None:
    from station import store_arguments as words

    words.add_token(_command(people, "token", "what lets a machine read the API", _store("run_token")))
    backup = _command(commands, "backup", "copy a station, running or not, into a new folder", _store("run_backup"))
    words.add_backup(with_config(backup))
    restore = _command(commands, "restore", "put a station back from a backup", _store("run_restore"))
    words.add_restore(with_config(restore))
    kept = _command(commands, "retention", "how long what is kept, and what was erased", _store("run_retention"))
    words.add_retention(with_config(kept))
    out = with_config(_command(commands, "export", "write what was seen to a file; it is recorded", _export))
    out.add_argument("--as", dest="account", metavar="NAME", help="a station account; its password is asked for")
    words.add_export(out)


def _add_models(commands: Commands) -> None:
    from models import commands as words
    from sim.frames_arguments import add_arguments

    models = commands.add_parser("models", help="detector weights").add_subparsers(required=True, metavar="ACTION")
    _command(models, "list", "what weights are known, and where they are", _models(lambda _: words.listing()))
    made = words.add_arguments(models)
    made["fetch"].set_defaults(call=_models(lambda a: words.fetch(a.name)))
    made["check"].set_defaults(call=_models(lambda a: words.check(a.name, a.weights)))
    made["export"].set_defaults(call=_models(words.export))
    made["evaluate"].set_defaults(call=_models(words.evaluation))
    add_arguments(_command(models, "frames", "draw labelled pictures to train and to measure with", _models_frames))


def _add_exercises(commands: Commands) -> None:
    from sim.exercise_command import add_exercise, add_walktest

    exercise = commands.add_parser("exercise", help="a simulated crossing with its truth: run, score, debrief")
    exercise.set_defaults(call=_exercise)
    add_exercise(exercise)
    add_walktest(_command(commands, "walktest", "how often a real walk through a corridor raised its alarm", _exercise))


def _add_notify(commands: Commands) -> None:
    notify = with_config(_command(commands, "notify", "who is told outside of the screen; what waits to be told", _notify))
    notify.add_argument("--test", action="store_true", help="tell a test through every notifier, now")


def main(arguments: list[str] | None = None) -> int:
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    die_with_parent()
    # argparse.REMAINDER takes no leading option, as in `test -q`: what is not known goes to pytest, and to nobody else.
    a, more = parser().parse_known_args(arguments)
    if more and a.command != "test":
        parser().error(f"unrecognized arguments: {' '.join(more)}")
    if getattr(a, "config", "") is None:
        parser().error(f"{a.command}: --config FILE is needed: the station's settings")
    a.arguments = more
    try:
        if "says" in a:
            words, status = a.says(a)
            print(words)
            return int(status)
        return int(a.call(a))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
