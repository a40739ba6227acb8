"""A list from a file: every line checked, the bad ones named, the good ones offered, nothing half in."""

from __future__ import annotations

import csv
import json
import sqlite3
from datetime import date
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofences.sector import load_sector
from station.nomination import COLUMNS, DAYS, fields_of, make_draft
from station.record import public_key_file, verify
from station.subjects import Category, KnownVehicle, Subject
from station.watchlist import WatchlistError, list_subjects
from station.watchlist_file import Watchlist
from station.watchlist_forms import read_lines, write_rows
from station.watchlist_import import export_file, import_content, import_file
from wire.clock import NS_PER_S, SteppedClock
from wire.units import Colour, ObjectClass

NOW = 1_780_000_000 * NS_PER_S
SECTOR = load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")
GOOD = {
    "category": "courier", "label": "Blue van", "reason": "seen twice at the ford", "lawful_basis": "case 12/2026",
    "what_to_do": "stop and check", "expires": "2030-01-31", "plates": "74C-123.45; 74C-999.99",
    "vehicles": "75A-111.11/truck/blue", "corridors": "khe-da", "hours": "22:00-04:30", "days": "Mon; sat",
    "party_size": "3",
}
BAD = GOOD | {"category": "spy", "expires": "31/01/2030", "plates": "7"}


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(NOW)


def write_csv(folder: Path, *rows: dict[str, str], header: tuple[str, ...] = COLUMNS) -> Path:
    file = folder / "list.csv"
    with file.open("w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, header)
        writer.writeheader()
        writer.writerows(rows)
    return file


def write_json(folder: Path, content: object, name: str = "list.json") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    return file


def actions(settings) -> list[str]:
    conn = sqlite3.connect(settings.record_db)
    try:
        return [a for (a,) in conn.execute("SELECT action FROM entries ORDER BY number")]
    finally:
        conn.close()


def test_a_good_file_is_nominated_whole_and_waits_for_a_second_person(settings, clock, station_folder) -> None:
    found = import_file(settings, "lan", write_csv(station_folder, GOOD, GOOD | {"label": "Đỗ Thị Hà"}), clock=clock)
    assert found.problems == ()
    first, second = list_subjects(settings, "lan", clock)
    assert second.label == "Đỗ Thị Hà"
    assert (first.plates, first.hours, first.days) == (("74C-123.45", "74C-999.99"), (1320, 270), (0, 5))
    assert first.vehicles == (KnownVehicle("75A-111.11", ObjectClass.TRUCK, "blue"),)
    assert not first.matches_at(NOW)
    assert str(found).startswith("2 of 2 lines added (S-000001 to S-000002); a second person has to approve each.\n")
    assert actions(settings) == ["watchlist.imported", "watchlist.listed"]
    assert verify(settings.record_db, public_key_file(settings)).broken is None


def test_bad_lines_are_named_with_line_key_and_what_to_do_and_the_good_ones_are_offered(
    settings, clock, station_folder
) -> None:
    file = write_csv(
        station_folder, GOOD, BAD,
        GOOD | {"reason": "", "hours": "25:00-3", "corridors": "nowhere", "party_size": "many", "days": "Mondays",
                "vehicles": "74C-1234/person"},
        GOOD, GOOD | {"vehicles": "74C-123.45/car/sky", "label": "a\u202eb"},
    )
    found = import_file(settings, "lan", file, clock=clock)
    assert [(p.line, p.column) for p in found.problems] == [
        (3, "category"), (3, "expires"), (3, "plates"), (4, "reason"), (4, "vehicles"), (4, "corridors"), (4, "hours"),
        (4, "days"), (4, "party_size"), (5, ""), (6, "label"), (6, "vehicles"),
    ]
    said = [str(p) for p in found.problems]
    assert said[1] == 'line 3: expires: "31/01/2030" is no date; write it as YYYY-MM-DD'
    assert said[9] == "line 5: says the same as line 2; take one of them out"
    assert "cannot be shown (U+202E); take it out" in said[10]
    assert [s.id for s in list_subjects(settings, "lan", clock)] == ["S-000001"]
    assert str(found).startswith("1 of 5 lines added")


def test_on_request_one_bad_line_keeps_everything_out(settings, clock, station_folder) -> None:
    found = import_file(settings, "lan", write_csv(station_folder, GOOD, BAD), all_or_nothing=True, clock=clock)
    assert str(found).startswith("Nothing added: 1 of 2 lines have problems.")
    assert list_subjects(settings, "lan", clock) == []


def test_a_crash_within_an_import_leaves_nothing_of_it(settings, clock, station_folder, monkeypatch) -> None:
    """The disk refuses the record's line after all rows were written: not one of them stays."""
    file = write_csv(station_folder, *(GOOD | {"label": f"{i}"} for i in range(50)))
    def refuse(self, person, action, details=None):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("station.record.Record.append", refuse)
    with pytest.raises(sqlite3.OperationalError):
        import_file(settings, "lan", file, clock=clock)
    monkeypatch.undo()
    assert list_subjects(settings, "lan", clock) == []


def test_json_takes_lists_numbers_and_vehicles_as_objects(settings, clock, station_folder) -> None:
    row = GOOD | {
        "plates": ["74C-123.45", "74C-999.99"], "party_size": 3, "days": ["mon", "sat"],
        "vehicles": [{"plate": "75A-111.11", "class": "truck", "colour": "blue"}],
    }
    found = import_file(settings, "lan", write_json(station_folder, [row, BAD, 7, GOOD | {"face": "x"}]), clock=clock)
    (taken,) = list_subjects(settings, "lan", clock)
    assert found.added == 1 and taken.days == (0, 5) and taken.party_size == 3
    lines = sorted({p.line for p in found.problems})
    text = (station_folder / "list.json").read_text().split("\n")
    assert text[lines[0] - 1].strip() == "{" and text[lines[1] - 1].strip() == "7,"
    assert "the key \"face\" is unknown" in str(found.problems[-1])


def test_of_json_lines_a_broken_one_is_named_and_the_rest_offered(settings, clock, station_folder) -> None:
    content = "\n".join([json.dumps(GOOD), '{"category": "cour', "", json.dumps(GOOD | {"label": "two"})])
    found = import_file(settings, "lan", write_json(station_folder, content, "list.jsonl"), clock=clock)
    assert [s.label for s in list_subjects(settings, "lan", clock)] == ["Blue van", "two"]
    assert [(p.line, p.column) for p in found.problems] == [(2, "")]
    assert "is not JSON" in found.problems[0].sentence


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("list.csv", b"label,reason\nx,y\n", "the column category, lawful_basis, what_to_do, expires is missing"),
        ("list.csv", (",".join(COLUMNS) + ",face\n").encode(), 'the column "face" is unknown'),
        ("list.csv", b"\xff\xfe\x00", "begins as UTF-16 and is none"),
        ("list.csv", "category".encode("utf-32"), "is UTF-32; save it as UTF-8"),
        ("list.csv", ",".join(COLUMNS).encode("utf-16-le"), "UTF-16 without its mark"),
        ("list.json", b"[{}] {}", "something stands after the end of the list"),
        ("list.csv", b"", "is missing"),
        ("list.csv", (",".join(COLUMNS) + '\n"unfinished').encode(), "list.csv:2: not readable as CSV"),
        ("list.json", b'[{"category": "courier"},\n{"label": ]', "list.json:2: not readable as JSON"),
        ("list.json", b'[{}\n{}]', "list.json:2: a comma or the end of the list is missing"),
        ("list.json", b'{"subjects": []}', "is no JSON array"),
        ("list.json", b"[" * 100_000, "not readable as JSON"),
        ("list.xlsx", b"PK", "form cannot be told"),
    ],
)
def test_a_file_that_is_no_list_is_refused_in_words_and_nothing_is_taken(settings, clock, name, content, sentence) -> None:
    with pytest.raises(WatchlistError, match=sentence):
        import_content(settings, "lan", name, content, clock=clock)
    assert list_subjects(settings, "lan", clock) == []


def test_a_line_with_too_many_fields_is_named(settings, clock, station_folder) -> None:
    file = write_csv(station_folder, GOOD)
    file.write_text(file.read_text() + ",".join(["courier"] * (len(COLUMNS) + 2)) + "\n")
    found = import_file(settings, "lan", file, clock=clock)
    assert [(p.line, p.column) for p in found.problems] == [(3, "")]


def test_an_expired_date_is_a_problem(settings, clock, station_folder) -> None:
    found = import_file(settings, "lan", write_csv(station_folder, GOOD | {"expires": "2020-01-01"}), clock=clock)
    assert "is over" in str(found.problems[0])


shown = st.characters(exclude_categories=("C", "Z")) | st.just(" ")
words = st.one_of(
    st.text(shown, min_size=1, max_size=60),
    st.tuples(st.sampled_from(["'", "'=", "''+", "+", "-", "@", "＝"]), st.text(shown, max_size=9)).map("".join),
).map(str.strip).filter(lambda t: t and not t.startswith("="))
plates = st.from_regex(r"[0-9]{2}[A-Z][0-9]?-[0-9]{5}", fullmatch=True)
rows = st.fixed_dictionaries({
    "category": st.sampled_from([c.value for c in Category]), "label": words, "reason": words, "lawful_basis": words,
    "what_to_do": words, "expires": st.dates(date(2027, 1, 1), date(2200, 1, 1)).map(str),
    "plates": st.lists(plates, max_size=3).map("; ".join),
    "vehicles": st.lists(st.tuples(plates, st.sampled_from(["", "/car", "/truck/red"])).map("".join), max_size=2).map(
        "; ".join),
    "corridors": st.sampled_from(["", "khe-da", "ben-song; khe-da"]),
    "hours": st.sampled_from(["", "00:00-24:00", "22:00-04:30"]),
    "days": st.lists(st.sampled_from(DAYS), max_size=3).map("; ".join),
    "party_size": st.one_of(st.just(""), st.integers(1, 200).map(str)),
})


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(rows, min_size=1, max_size=5), st.sampled_from(["csv", "json", "jsonl"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_is_exported_is_imported_again_as_it_was(settings, made, form, encoding) -> None:
    drafts = [make_draft(row, SECTOR, NOW) for row in made]
    assert all(not problems for _, problems in drafts)
    subjects = [
        Subject("S-000001", d.category, d.label, d.plates, d.vehicles, d.corridors, d.hours, d.party_size, d.reason,
                d.lawful_basis, d.what_to_do, d.expires_ns, "lan", NOW, days=d.days)
        for d, _ in drafts if d is not None
    ]
    out = StringIO()
    write_rows(out, form, [fields_of(s, SECTOR.utc_offset_min) for s in subjects])
    read = list(read_lines(f"x.{form}", out.getvalue().encode(encoding)))
    again = [make_draft(fields, SECTOR, NOW)[0] for _, fields in read if not isinstance(fields, str)]
    assert again == [d for d, _ in drafts]


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.text(max_size=200).map(str.encode), st.binary(max_size=200)),
    st.sampled_from(["a.csv", "a.json", "a.jsonl"]), st.booleans(),
)
def test_whatever_stands_in_a_file_it_is_taken_or_refused_in_words(settings, content, name, with_header) -> None:
    if with_header:
        content = {"a.csv": ",".join(COLUMNS).encode() + b"\n", "a.json": b"[", "a.jsonl": b"{}\n"}[name] + content
    try:
        found = import_content(settings, "lan", name, content, clock=SteppedClock(NOW))
    except WatchlistError as error:
        assert str(error).startswith(name)
    else:
        assert found.added + found.bad_lines <= found.lines + len(found.problems)


def table(*rows: dict[str, str], delimiter: str = ",") -> str:
    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with mark", "utf-16-be with mark"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_a_spreadsheet_saves_is_read(settings, clock, encoding, delimiter) -> None:
    text = table(GOOD | {"label": "Đỗ Thị Hà"}, delimiter=delimiter)
    marked = encoding.endswith(" with mark")
    content = ("\ufeff" + text if marked else text).encode(encoding.removesuffix(" with mark"))
    assert import_content(settings, "lan", "list.csv", content, clock=clock).problems == ()
    (taken,) = list_subjects(settings, "lan", clock)
    assert (taken.label, taken.plates) == ("Đỗ Thị Hà", ("74C-123.45", "74C-999.99"))


@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1258"])
def test_of_another_encoding_the_lines_are_named_and_no_name_is_guessed(settings, clock, form, encoding) -> None:
    rows = [GOOD, GOOD | {"label": "Bé Lê"}, GOOD | {"label": "three", "plates": "74C-000.03"}]
    out = StringIO()
    write_rows(out, form, rows)
    found = import_content(settings, "lan", f"list.{form}", out.getvalue().encode(encoding), clock=clock)
    line = {"csv": 3, "json": 3, "jsonl": 2}[form]
    assert [str(p) for p in found.problems] == [
        f"line {line}: label is no UTF-8 text (byte 0xE9); save the file as UTF-8"
    ]
    assert [s.label for s in list_subjects(settings, "lan", clock)] == ["Blue van", "three"]


def test_formulas_are_neither_taken_nor_given_away(settings, clock, station_folder) -> None:
    rows = [GOOD | {"label": '=HYPERLINK("http://x","y")'}, GOOD | {"label": "'=1+1"}, GOOD | {"label": "+84 905 123 456"}]
    found = import_content(settings, "lan", "list.csv", table(*rows).encode(), clock=clock)
    assert [(p.line, p.column) for p in found.problems] == [(2, "label"), (3, "label")]
    assert 'begins with "=", as a formula does' in found.problems[0].sentence
    out = station_folder / "out.csv"
    export_file(settings, "lan", out, "to the province", clock)
    (row,) = csv.DictReader(out.open(encoding="utf-8"))
    assert row["label"] == "'+84 905 123 456"


def test_plates_that_stand_there_twice_are_said_and_taken(settings, clock) -> None:
    first = table(GOOD, GOOD | {"label": "his brother", "plates": "74c 12345", "vehicles": ""})
    found = import_content(settings, "lan", "list.csv", first.encode(), clock=clock)
    assert [str(n) for n in found.notes] == ["line 3: plates: 74c 12345 stands in line 2 as well"]
    assert found.added == 2 and found.problems == ()
    again = table(GOOD | {"label": "third", "plates": "74C-999.99", "vehicles": ""})
    found = import_content(settings, "lan", "list.csv", again.encode(), clock=clock)
    assert [str(n) for n in found.notes] == ["line 2: plates: 74C-999.99 is on the list already, with S-000001"]
    assert "Look at these" in str(found)
    later = SteppedClock(NOW + 10 * 365 * 86_400 * NS_PER_S)
    found = import_content(
        settings, "lan", "list.csv", table(GOOD | {"plates": "74C-999.99", "expires": "2090-01-01"}).encode(), clock=later
    )
    assert [n for n in found.notes if "already" in str(n)] == [], "what is over keeps nobody from a new record"


def test_a_key_twice_in_an_object_is_a_problem_and_not_silently_the_last(settings, clock) -> None:
    line = json.dumps(GOOD)[:-1] + ', "label": "another"}'
    found = import_content(settings, "lan", "list.jsonl", line.encode(), clock=clock)
    assert [str(p) for p in found.problems] == ['line 1: has the key "label" twice; take one of them out']


def test_a_report_steers_no_terminal(settings, clock) -> None:
    rows = [GOOD | {"category": "\x1b]0;owned\x07", "plates": "7\x1b[2J", "label": "a\u202eb"}]
    found = import_content(settings, "lan", "list.csv", table(*rows).encode(), clock=clock)
    lone = import_content(settings, "lan", "list.jsonl", b'{"\\ud800\\u001b": 1}', clock=clock)
    said = str(found) + str(lone)
    assert all(c.isprintable() or c == "\n" for c in said)
    said.encode("utf-8")


def test_a_record_over_several_lines_is_named_by_its_first(settings, clock) -> None:
    text = table(GOOD | {"label": "one"}, GOOD | {"reason": "two\r\nlines"}, GOOD | {"category": "spy"})
    found = import_content(settings, "lan", "list.csv", text.encode(), clock=clock)
    assert [(p.line, p.column) for p in found.problems] == [(3, "reason"), (5, "category")]


def test_an_export_says_why_is_its_owners_alone_and_overwrites_nothing(settings, clock, station_folder) -> None:
    import_file(settings, "lan", write_csv(station_folder, GOOD), clock=clock)
    out = station_folder / "out.csv"
    with pytest.raises(WatchlistError, match="say why"):
        export_file(settings, "lan", out, " ", clock)
    assert export_file(settings, "lan", out, "to the province", clock) == 1
    assert out.stat().st_mode & 0o777 == 0o600
    with pytest.raises(WatchlistError, match="not overwritten"):
        export_file(settings, "lan", out, "again", clock)
    assert actions(settings)[-1] == "watchlist.exported"


def test_ids_beyond_a_million_go_on(settings, clock) -> None:
    watchlist = Watchlist(settings, clock)
    draft, _ = make_draft(GOOD, SECTOR, NOW)
    assert draft is not None
    watchlist._db.execute("INSERT INTO subjects(id, number, sealed, changed_ns) VALUES ('S-999999', 999999, x'00', 0)")
    made = watchlist.add([draft, draft], "lan")
    assert [s.id for s in made] == ["S-1000000", "S-1000001"]
    assert watchlist.add([draft], "lan")[0].id == "S-1000002"
    assert watchlist.subject("S-1000001").id == "S-1000001"
    watchlist.close()


def test_colours_of_a_file_are_those_that_a_camera_tells() -> None:
    for colour in Colour:
        draft, problems = make_draft(GOOD | {"vehicles": f"75A-111.11/car/{colour.value}"}, SECTOR, NOW)
        assert draft is not None and problems == []
