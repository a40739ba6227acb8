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
from typing import TYPE_CHECKING, TypeAlias

from wire.process import die_with_parent
from wire.settings import SettingsError

if TYPE_CHECKING:
    from station.settings import StationSettings

ROOT = Path(__file__).resolve().parent
Call = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
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


def _signing_new(a: argparse.Namespace) -> int:
    from fleet.signing_setup import run_new

    return run_new(a)


def _signing_give(a: argparse.Namespace) -> int:
    from fleet.signing_setup import run_give

    return run_give(a)


def _flights(a: argparse.Namespace) -> int:
    from fleet.flight_command import run

    return run(a)


def _autopilot(a: argparse.Namespace) -> int:
    from sim.autopilot import run

    return run(a.config)


def _world(a: argparse.Namespace) -> int:
    from sim.world_process import run

    return run(a.config)


def _camera(a: argparse.Namespace) -> int:
    from sim.camera_server import run

    return run(a.config)


def _demo(a: argparse.Namespace) -> int:
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
    return subprocess.call([sys.executable, "-m", "pytest", *a.arguments], cwd=ROOT)


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
        password = add_person(_station(a), a.name, Role(a.role))
    except AccessError as error:
        raise SettingsError(str(error)) from None
    print(f"{a.name} may log in as {a.role}, once, with {password} and then chooses a password.")
    return 0


def _people_password(a: argparse.Namespace) -> int:
    from station.access import AccessError, set_password

    try:
        password = set_password(_station(a), a.name)
    except AccessError as error:
        raise SettingsError(str(error)) from None
    print(f"{a.name} may log in, once, with {password} and then chooses a password.")
    return 0


def _people_change(a: argparse.Namespace) -> int:
    from station.access import AccessError, Role, open_people

    people = open_people(_station(a))
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

    for person in list_people(_station(a)):
        state = "disabled" if person.disabled else "must choose a password" if person.must_change_password else ""
        print(f"{person.name:32} {person.role.value:14} {state}")
    return 0


def _coverage(a: argparse.Namespace) -> int:
    from station.coverage_command import run

    print(run(_station(a), as_json=a.json, debt=a.debt))
    return 0


def _notify(a: argparse.Namespace) -> int:
    import getpass

    from station.notifier import try_notifiers, waiting_notices

    settings = _station(a)
    if not settings.notifiers:
        raise SettingsError(f"{a.config}: notifiers: there are none; docs/administrator.md shows how to add one")
    if not a.test:
        waiting = {name: (count, error) for name, count, error in waiting_notices(settings)}
        for n in settings.notifiers:
            count, error = waiting.get(n.name, (0, ""))
            print(f"{n.name:20} {count} waiting{f'; {error}' if error else ''}")
        return 0
    told = try_notifiers(settings, f"{getpass.getuser()} (command line)")
    for name, error in told.items():
        print(f"{name:20} {'NOT told: ' + error if error else 'told'}")
    return 1 if any(told.values()) else 0


# ------------------------------------------------------------------------------------------------------ the watchlist


def _person(a: argparse.Namespace) -> str:
    """In whose name: an account of the station, proved by its password, or whoever is logged in to this machine.

    Every look and every change is recorded under it.
    """
    import getpass

    if not a.account:
        return f"{getpass.getuser()} (command line)"
    from station.access import AccessError, open_people

    people = open_people(_station(a))
    try:
        session = people.log_in(a.account, getpass.getpass(f"password of {a.account}: "), "command line")
        people.log_out(session.token)
    except AccessError as error:
        raise SettingsError(f"--as {a.account}: {error}") from None
    finally:
        people.close()
    return session.person.name


def _watchlist_add(a: argparse.Namespace) -> int:
    from geofences.sector import load_sector
    from station.nomination import make_draft
    from station.watchlist import add_subject
    from wire.clock import WallClock

    settings = _station(a)
    fields = {
        "category": a.category, "label": a.label, "reason": a.reason, "lawful_basis": a.lawful_basis,
        "what_to_do": a.what_to_do, "expires": a.expires, "plates": ";".join(a.plate), "vehicles": ";".join(a.vehicle),
        "corridors": ";".join(a.corridor), "hours": a.hours, "days": ";".join(a.day), "party_size": a.party_size,
    }
    draft, problems = make_draft(fields, load_sector(settings.sector), WallClock().utc_ns())
    if draft is None:
        raise SettingsError("\n".join(f"watchlist add: --{str(p).replace('_', '-')}" for p in problems))
    subject = add_subject(settings, _person(a), draft)
    print(f"{subject.id} is nominated. It matches nothing until a second person approves it.")
    return 0


def _watchlist_list(a: argparse.Namespace) -> int:
    from station.nomination import describe
    from station.watchlist import list_subjects
    from wire.clock import NS_PER_S, WallClock

    now_ns = WallClock().utc_ns()
    subjects = list_subjects(_station(a), _person(a))
    if a.expiring is not None:
        until_ns = now_ns + round(a.expiring * 86400) * NS_PER_S
        subjects = sorted((s for s in subjects if now_ns < s.expires_ns <= until_ns), key=lambda s: s.expires_ns)
    print(describe(subjects, now_ns))
    return 0


def _watchlist_show(a: argparse.Namespace) -> int:
    import msgspec

    from station.watchlist import look_at_subject

    for name, value in msgspec.to_builtins(look_at_subject(_station(a), _person(a), a.subject, a.why)).items():
        print(f"{name:14} {value}")
    return 0


def _watchlist_import(a: argparse.Namespace) -> int:
    from station.watchlist_import import import_file

    imported = import_file(_station(a), _person(a), a.file, all_or_nothing=a.all_or_nothing)
    print(imported)
    return 1 if imported.problems else 0


def _watchlist_export(a: argparse.Namespace) -> int:
    from station.watchlist_import import export_file

    count = export_file(_station(a), _person(a), a.file, a.why)
    print(f"{a.file}: {count} records, readable by anybody who has the file. That you took them is in the record.")
    return 0


def _watchlist_explain(a: argparse.Namespace) -> int:
    from station.watchlist_explain import explain

    print(explain(_station(a), _person(a), a.contact, a.subject, a.language))
    return 0


def _watchlist_learn(a: argparse.Namespace) -> int:
    from station.watchlist_learning import accept_weights, propose_weights, show_weights, take_back_weights

    settings = _station(a)
    if a.accept is not None:
        print(accept_weights(settings, _person(a), a.accept))
    elif a.take_back is not None:
        print(take_back_weights(settings, _person(a), a.take_back, a.reason))
    elif a.show:
        print(show_weights(settings, _person(a)))
    else:
        print(propose_weights(settings, _person(a)))
    return 0


def _watchlist_approve(a: argparse.Namespace) -> int:
    from station.watchlist import approve_subjects

    approved = approve_subjects(_station(a), _person(a), a.subject)
    each = "is approved and matches" if len(approved) == 1 else "are approved and match"
    print(f"{', '.join(s.id for s in approved)} {each} from now on.")
    return 0


def _watchlist_expire(a: argparse.Namespace) -> int:
    from station.watchlist import expire_subject

    print(f"{expire_subject(_station(a), _person(a), a.subject, a.reason).id} has expired and matches nothing any more.")
    return 0


def _watchlist_report(a: argparse.Namespace) -> int:
    from station.watchlist import report_subject
    from wire.clock import NS_PER_S, WallClock

    now_ns = WallClock().utc_ns()
    report = report_subject(
        _station(a), _person(a), a.subject, now_ns, now_ns + round(a.hours * 3600) * NS_PER_S,
        reported_by=a.by, corridor=a.corridor, says=a.says,
    )
    print(f"{report.id}: {a.by} reports {a.subject} in {a.corridor} for the next {a.hours:g} h.")
    return 0


def _record_verify(a: argparse.Namespace) -> int:
    from station.record import public_key_file, verify

    settings = _station(a)
    verdict = verify(a.record or settings.record_db, a.key or public_key_file(settings))
    print(verdict)
    return 0 if verdict.broken is None else 1


def _store(name: str) -> Call:
    """A command of station.store_command, in the name of whoever is logged in to this machine."""

    def call(a: argparse.Namespace) -> int:
        import getpass

        from station import store_command as words

        print(getattr(words, name)(_station(a), f"{getpass.getuser()} (command line)", a))
        return 0

    return call


def _export(a: argparse.Namespace) -> int:
    from station.exports_command import export

    print(export(_station(a), _person(a), a))
    return 0


def _models(words: Callable[[argparse.Namespace], str]) -> Call:
    def call(a: argparse.Namespace) -> int:
        print(words(a))
        return 0

    return call


def _models_frames(a: argparse.Namespace) -> int:
    from sim.frames_write import run

    return run(a)


def _station(a: argparse.Namespace) -> StationSettings:
    from station.settings import load_station_settings

    return load_station_settings(a.config)


# ------------------------------------------------------------------------------------------------------- the arguments


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="trailwatch", description="Eyes on forest trails along a land border.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_main_job(commands)
    _add_processes(commands)
    _add_station(commands)
    _add_watchlist(commands)
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


def _with_config(p: argparse.ArgumentParser) -> argparse.ArgumentParser:
    p.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings file (TOML)")
    return p


def _add_main_job(commands: Commands) -> None:
    demo = _command(commands, "demo", "the main job on this machine: two cameras, one drone, a ground station", _demo)
    demo.add_argument("--video", type=Path, metavar="PATH", help="a recording that both cameras play in a loop")
    demo.add_argument("--weights", type=Path, metavar="PATH", help="detector weights; looked up by name when not given")
    demo.add_argument("--headless", action="store_true", help="open no browser, delete the run's folder at the end")
    demo.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds; without it, at Ctrl-C")
    demo.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    demo.add_argument("--keep", type=Path, metavar="DIR", help="put this run's files there and leave them")


def _add_processes(commands: Commands) -> None:
    _with_config(_command(commands, "edge", "run a node beside a camera or on a drone", _edge))
    calibrate = _command(commands, "calibrate", "find where a camera looks, from points of its picture and map", _calibrate)
    calibrate.add_argument("node", type=Path, metavar="NODE.toml", help="the settings of the camera's node")
    calibrate.add_argument("--points", type=Path, required=True, metavar="FILE", help="pixels and positions (TOML)")
    calibrate.add_argument("--preset", default="", metavar="NAME", help="of a camera that turns: where it was")
    calibrate.add_argument("--focal", action="store_true", help="solve for the focal length too")
    calibrate.add_argument("--k1", action="store_true", help="solve for the lens's barrel or cushion too")
    calibrate.add_argument("--click-px", type=_positive, default=1.5, metavar="PX", help="one sigma of a click")
    calibrate.add_argument("--picture", type=Path, metavar="PATH", help='clicked on; "source": the node\'s own')
    calibrate.add_argument("--draw", type=Path, metavar="PNG", help="write the picture with clicks and results drawn in")
    calibrate.add_argument("--page", action="store_true", help="click the points on a page of this machine")
    calibrate.add_argument("--write", action="store_true", help="put the result into the settings; keeps a copy of the old")
    serve = _with_config(_command(commands, "serve", "run a ground station: inbox, mind and web server", _serve))
    serve.add_argument("--only", choices=["inbox", "mind", "web", "notify"], help="start one of its processes alone")
    _with_config(_command(commands, "fleet", "run the fleet service, which commands the drones", _fleet))
    _add_fleet(commands)
    _with_config(_command(commands, "autopilot", "run a simulated drone behind real MAVLink", _autopilot))
    _with_config(_command(commands, "world", "run a simulated world for cameras to watch", _world))
    _with_config(_command(commands, "camera", "run a camera of the simulated world for its node", _camera))


def _add_fleet(commands: Commands) -> None:
    flights = _with_config(_command(commands, "flights", "the flight book of a fleet service, and a flight's way", _flights))
    flights.add_argument("--flight", type=int, metavar="N", help="one flight: its way is written instead of the list")
    flights.add_argument("--out", type=Path, metavar="FILE", help="where to: .kml or .gpx")
    signing = commands.add_parser("signing", help="MAVLink 2 signing keys of drones")
    actions = signing.add_subparsers(required=True, metavar="ACTION")
    new = _command(actions, "new", "make a drone's signing key", _signing_new)
    new.add_argument("--out", type=Path, required=True, metavar="FILE", help="where the key is written; never overwritten")
    give = _with_config(_command(actions, "give", "give a drone its key over a cable, and see that it signs", _signing_give))
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
    people = _with_config(commands.add_parser("people", help="accounts of the ground station"))
    actions = actions_of_people = people.add_subparsers(required=True, metavar="ACTION")
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
    coverage = _with_config(_command(commands, "coverage", "which trail is seen now, and since when it was not", _coverage))
    coverage.add_argument("--debt", action="store_true", help="what nobody sees, the heaviest first, for planners")
    coverage.add_argument("--json", action="store_true", help="print JSON instead of a table")
    record = _with_config(commands.add_parser("record", help="who looked at what, who decided what"))
    actions = record.add_subparsers(required=True, metavar="ACTION")
    verify = _command(actions, "verify", "check the chain, offline", _record_verify)
    verify.add_argument("--record", type=Path, metavar="FILE", help="another record.db, for example from a backup")
    verify.add_argument("--key", type=Path, metavar="FILE", help="its public key, when it is another station's")
    _add_store(commands, actions_of_people)
    _add_models(commands)
    _add_notify(commands)


def _add_store(commands: Commands, people: Commands) -> None:
    from station import exports_command, store_command

    store_command.add_token(_command(people, "token", "what lets a machine read the API", _store("run_token")))
    backup = _command(commands, "backup", "copy a station, running or not, into a new folder", _store("run_backup"))
    store_command.add_backup(_with_config(backup))
    restore = _command(commands, "restore", "put a station back from a backup", _store("run_restore"))
    store_command.add_restore(_with_config(restore))
    _with_config(_command(commands, "retention", "how long what is kept, and what was erased", _store("run_retention")))
    out = _with_config(_command(commands, "export", "write what was seen to a file; it is recorded", _export))
    out.add_argument("--as", dest="account", metavar="NAME", help="a station account; its password is asked for")
    exports_command.add_arguments(out)


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


def _add_watchlist(commands: Commands) -> None:
    watchlist = _with_config(commands.add_parser("watchlist", help="subjects, and people's reports about them"))
    watchlist.add_argument("--as", dest="account", metavar="NAME", help="a station account; its password is asked for")
    actions = watchlist.add_subparsers(required=True, metavar="ACTION")
    add = _command(actions, "add", "nominate a subject; a second person has to approve", _watchlist_add)
    categories = ["organiser_broker", "courier", "repeat_crosser", "missing_person", "at_risk"]
    add.add_argument("--category", required=True, choices=categories)
    for name, does in (
        ("--label", "how the record is called"), ("--reason", "why"), ("--lawful-basis", "by which order or law"),
        ("--what-to-do", "what an officer is to do"), ("--expires", "YYYY-MM-DD, to the end of that day"),
    ):
        add.add_argument(name, required=True, help=does)
    add.add_argument("--plate", action="append", default=[], help="a licence plate; may be given more than once")
    add.add_argument("--vehicle", action="append", default=[], metavar="PLATE/CLASS/COLOUR", help="a vehicle by its plate")
    add.add_argument("--corridor", action="append", default=[], help="a habit; it never names anybody alone")
    add.add_argument("--hours", default="", metavar="HH:MM-HH:MM", help="a habit")
    add.add_argument("--day", action="append", default=[], metavar="mon..sun", help="on which these hours begin; a habit")
    add.add_argument("--party-size", default="", help="a habit")
    listing = _command(actions, "list", "list all subjects; that you looked is recorded", _watchlist_list)
    listing.add_argument("--expiring", type=_positive, metavar="DAYS", help="only those that expire within so many days")
    show = _command(actions, "show", "show one subject; that you looked is recorded", _watchlist_show)
    show.add_argument("subject")
    show.add_argument("--why", default="", help="goes into the record")
    bring = _command(actions, "import", "nominate the subjects of a CSV or JSON file, line by line", _watchlist_import)
    bring.add_argument("file", type=Path, help="ends in .csv, .json or .jsonl")
    bring.add_argument("--all-or-nothing", action="store_true", help="with one bad line, take none of them")
    out = _command(actions, "export", "write the whole list to a file; that you took it is recorded", _watchlist_export)
    out.add_argument("file", type=Path, help="ends in .csv, .json or .jsonl")
    out.add_argument("--why", required=True, help="goes into the record")
    why = _command(actions, "explain", "print what the screen shows about a contact and a subject", _watchlist_explain)
    why.add_argument("contact", metavar="CONTACT", help="for example C-000017")
    why.add_argument("subject", metavar="SUBJECT", help="for example S-000003")
    why.add_argument("--language", choices=["vi", "en"], default="vi")
    learn = _command(actions, "learn", "propose weights from decided questions; a second person accepts", _watchlist_learn)
    what = learn.add_mutually_exclusive_group()
    what.add_argument("--accept", type=int, metavar="VERSION", help="put a proposal of somebody else's into force")
    what.add_argument("--take-back", type=int, metavar="VERSION", help="back to the version before; give a --reason")
    what.add_argument("--show", action="store_true", help="the versions that there are")
    learn.add_argument("--reason", default="", help="of taking back; goes into the record")
    approve = _command(actions, "approve", "approve what somebody else nominated, all or none", _watchlist_approve)
    approve.add_argument("subject", nargs="+", metavar="SUBJECT")
    expire = _command(actions, "expire", "end a record now", _watchlist_expire)
    expire.add_argument("subject")
    expire.add_argument("--reason", default="")
    report = _command(actions, "report", "note that a person reports a subject in a corridor", _watchlist_report)
    report.add_argument("subject")
    report.add_argument("--corridor", required=True)
    report.add_argument("--by", required=True, help="who says so, by name")
    report.add_argument("--hours", type=_positive, default=2.0, help="from now on")
    report.add_argument("--says", default="", help="in their words")


def _add_exercises(commands: Commands) -> None:
    from sim.exercise_command import add_exercise, add_walktest

    exercise = commands.add_parser("exercise", help="a simulated crossing with its truth: run, score, debrief")
    exercise.set_defaults(call=_exercise)
    add_exercise(exercise)
    add_walktest(_command(commands, "walktest", "how often a real walk through a corridor raised its alarm", _exercise))


def _add_notify(commands: Commands) -> None:
    notify = _with_config(_command(commands, "notify", "who is told outside of the screen; what waits to be told", _notify))
    notify.add_argument("--test", action="store_true", help="tell a test through every notifier, now")


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text}: give more than 0")
    return value


def main(arguments: list[str] | None = None) -> int:
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    die_with_parent()
    # argparse.REMAINDER takes no leading option, as in `test -q`: what is not known goes to pytest, and to nobody else.
    a, more = parser().parse_known_args(arguments)
    if more and a.command != "test":
        parser().error(f"unrecognized arguments: {' '.join(more)}")
    a.arguments = more
    try:
        return int(a.call(a))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
