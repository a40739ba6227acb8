"""`trailwatch watchlist`: subjects and reports from the command line. Every look and every change is recorded."""

from __future__ import annotations

import argparse
from pathlib import Path

from station.command_line import Commands, Said, account_of, actions_with_config, command, person_of, positive, station_of
from wire.settings import SettingsError


def _add(a: argparse.Namespace) -> Said:
    from geofences.sector import load_sector
    from station.nomination import make_draft
    from station.watchlist import add_subject
    from wire.clock import WallClock

    settings = station_of(a)
    fields = {
        "category": a.category, "label": a.label, "reason": a.reason, "lawful_basis": a.lawful_basis,
        "what_to_do": a.what_to_do, "expires": a.expires, "plates": ";".join(a.plate), "vehicles": ";".join(a.vehicle),
        "corridors": ";".join(a.corridor), "hours": a.hours, "days": ";".join(a.day), "party_size": a.party_size,
    }
    draft, problems = make_draft(fields, load_sector(settings.sector), WallClock().utc_ns())
    if draft is None:
        raise SettingsError("\n".join(f"watchlist add: --{str(p).replace('_', '-')}" for p in problems))
    subject = add_subject(settings, account_of(a), draft)
    return f"{subject.id} is nominated. It matches nothing until a second person approves it.", 0


def _list(a: argparse.Namespace) -> Said:
    from station.nomination import describe
    from station.watchlist import list_subjects
    from wire.clock import NS_PER_S, WallClock

    now_ns = WallClock().utc_ns()
    subjects = list_subjects(station_of(a), person_of(a))
    if a.expiring is not None:
        until_ns = now_ns + round(a.expiring * 86400) * NS_PER_S
        subjects = sorted((s for s in subjects if now_ns < s.expires_ns <= until_ns), key=lambda s: s.expires_ns)
    return describe(subjects, now_ns), 0


def _show(a: argparse.Namespace) -> Said:
    import msgspec

    from station.watchlist import look_at_subject

    told = msgspec.to_builtins(look_at_subject(station_of(a), person_of(a), a.subject, a.why))
    return "\n".join(f"{name:14} {value}" for name, value in told.items()), 0


def _import(a: argparse.Namespace) -> Said:
    from station.watchlist_import import import_file

    imported = import_file(station_of(a), account_of(a), a.file, all_or_nothing=a.all_or_nothing)
    return str(imported), 1 if imported.problems else 0


def _export(a: argparse.Namespace) -> Said:
    from station.watchlist_import import export_file

    count = export_file(station_of(a), person_of(a), a.file, a.why)
    return f"{a.file}: {count} records, readable by anybody who has the file. That you took them is in the record.", 0


def _explain(a: argparse.Namespace) -> Said:
    from station.watchlist_explain import explain

    return explain(station_of(a), person_of(a), a.contact, a.subject, a.language), 0


def _learn(a: argparse.Namespace) -> Said:
    from station.watchlist_learning import accept_weights, propose_weights, show_weights, take_back_weights

    settings = station_of(a)
    if a.accept is not None:
        return accept_weights(settings, account_of(a), a.accept), 0
    if a.take_back is not None:
        return take_back_weights(settings, account_of(a), a.take_back, a.reason), 0
    return (show_weights(settings, person_of(a)) if a.show else propose_weights(settings, account_of(a))), 0


def _approve(a: argparse.Namespace) -> Said:
    from station.watchlist import approve_subjects

    approved = approve_subjects(station_of(a), account_of(a), a.subject)
    each = "is approved and matches" if len(approved) == 1 else "are approved and match"
    return f"{', '.join(s.id for s in approved)} {each} from now on.", 0


def _expire(a: argparse.Namespace) -> Said:
    from station.watchlist import expire_subject

    ended = expire_subject(station_of(a), account_of(a), a.subject, a.reason)
    return f"{ended.id} has expired and matches nothing any more.", 0


def _report(a: argparse.Namespace) -> Said:
    from station.watchlist import report_subject
    from wire.clock import NS_PER_S, WallClock

    now_ns = WallClock().utc_ns()
    report = report_subject(
        station_of(a), account_of(a), a.subject, now_ns, now_ns + round(a.hours * 3600) * NS_PER_S,
        reported_by=a.by, corridor=a.corridor, says=a.says,
    )
    return f"{report.id}: {a.by} reports {a.subject} in {a.corridor} for the next {a.hours:g} h.", 0


def add_watchlist(commands: Commands) -> None:
    watchlist = commands.add_parser("watchlist", help="subjects, and people's reports about them")
    watchlist.add_argument(
        "--as", dest="account", metavar="NAME", help="a station account; its password is asked for. Changes need one"
    )
    actions = actions_with_config(watchlist)
    add = command(actions, "add", "nominate a subject; a second person has to approve", _add)
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
    listing = command(actions, "list", "list all subjects; that you looked is recorded", _list)
    listing.add_argument("--expiring", type=positive, metavar="DAYS", help="only those that expire within so many days")
    show = command(actions, "show", "show one subject; that you looked is recorded", _show)
    show.add_argument("subject")
    show.add_argument("--why", default="", help="goes into the record")
    bring = command(actions, "import", "nominate the subjects of a CSV or JSON file, line by line", _import)
    bring.add_argument("file", type=Path, help="ends in .csv, .json or .jsonl")
    bring.add_argument("--all-or-nothing", action="store_true", help="with one bad line, take none of them")
    out = command(actions, "export", "write the whole list to a file; that you took it is recorded", _export)
    out.add_argument("file", type=Path, help="ends in .csv, .json or .jsonl")
    out.add_argument("--why", required=True, help="goes into the record")
    why = command(actions, "explain", "print what the screen shows about a contact and a subject", _explain)
    why.add_argument("contact", metavar="CONTACT", help="for example C-000017")
    why.add_argument("subject", metavar="SUBJECT", help="for example S-000003")
    why.add_argument("--language", choices=["vi", "en"], default="vi")
    learn = command(actions, "learn", "propose weights from decided questions; a second person accepts", _learn)
    what = learn.add_mutually_exclusive_group()
    what.add_argument("--accept", type=int, metavar="VERSION", help="put a proposal of somebody else's into force")
    what.add_argument("--take-back", type=int, metavar="VERSION", help="back to the version before; give a --reason")
    what.add_argument("--show", action="store_true", help="the versions that there are")
    learn.add_argument("--reason", default="", help="of taking back; goes into the record")
    approve = command(actions, "approve", "approve what somebody else nominated, all or none", _approve)
    approve.add_argument("subject", nargs="+", metavar="SUBJECT")
    expire = command(actions, "expire", "end a record now", _expire)
    expire.add_argument("subject")
    expire.add_argument("--reason", default="")
    report = command(actions, "report", "note that a person reports a subject in a corridor", _report)
    report.add_argument("subject")
    report.add_argument("--corridor", required=True)
    report.add_argument("--by", required=True, help="who says so, by name")
    report.add_argument("--hours", type=positive, default=2.0, help="from now on")
    report.add_argument("--says", default="", help="in their words")
