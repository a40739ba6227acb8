"""What people read of an exercise, in more than one language: where the file has it, and what its trainees are given.

[words.vi.says] has what injects say by the id of the inject, [words.vi.watchlist.ID] what stands on a record and what was
reported before the exercise. What a file does not have in a language is read as it stands elsewhere in the file.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sim.exercise_settings import (
    AnyInject,
    CameraInject,
    DroneInject,
    ExerciseSettings,
    MessageInject,
    ReportEntry,
    ReportInject,
    SplitInject,
    SubjectEntry,
    WeatherInject,
    WordsSettings,
)
from station.language import LANGUAGES, words
from wire.settings import refuse

WEATHER = ("cloud", "rain_mm_h", "visibility_m", "wind_mps")


def words_in(s: ExerciseSettings, language: str) -> WordsSettings:
    return s.words.vi if language == "vi" else s.words.en


def record_for_trainees(s: ExerciseSettings, entry: SubjectEntry) -> SubjectEntry:
    """A record of the watchlist as its trainees read it."""
    known = words_in(s, s.trainees.language).watchlist.get(entry.id)
    if known is None:
        return entry
    said = [*known.reports, *[""] * (len(entry.reports) - len(known.reports))]
    reports: list[ReportEntry] = [
        msgspec.structs.replace(r, says=text or r.says) for r, text in zip(entry.reports, said, strict=True)
    ]
    return msgspec.structs.replace(
        entry, label=known.label or entry.label, reason=known.reason or entry.reason,
        what_to_do=known.what_to_do or entry.what_to_do, reports=tuple(reports),
    )


def report_for_trainees(s: ExerciseSettings, inject: ReportInject) -> ReportInject:
    """A report as it is written down for the trainees."""
    return msgspec.structs.replace(inject, says=_says(s, inject, s.trainees.language))


def about(s: ExerciseSettings, inject: AnyInject) -> dict[str, str]:
    """By language: the camera, drone, party, weather or words that an inject is about."""
    return {language: _about(s, inject, language) for language in LANGUAGES}


def in_languages(key: str) -> dict[str, str]:
    """A text of the language files, by language."""
    return {language: words(language, {}, 0).t(key) for language in LANGUAGES}


def check_words(file: Path, s: ExerciseSettings) -> None:
    """Raises SettingsError for words of what is not there: nobody would ever read them."""
    speak = {i.id for i in s.injects if isinstance(i, MessageInject | ReportInject)}
    records = {w.id: w for w in s.watchlist}
    for language in LANGUAGES:
        known = words_in(s, language)
        for name in known.says:
            if name not in speak:
                there = ", ".join(sorted(speak)) or "none"
                raise refuse(file, ["words", language, "says", name],
                             f'there is no inject "{name}" that says anything; those that do: {there}')
        for name, record in known.watchlist.items():
            here: list[str | int] = ["words", language, "watchlist", name]
            if name not in records:
                raise refuse(file, here, f'there is no record "{name}"; there are: {", ".join(sorted(records)) or "none"}')
            reports = len(records[name].reports)
            if len(record.reports) > reports:
                raise refuse(file, [*here, "reports"], f"{len(record.reports)} reports, and the record has {reports}")


def _says(s: ExerciseSettings, inject: MessageInject | ReportInject, language: str) -> str:
    return words_in(s, language).says.get(inject.id) or inject.says


def _about(s: ExerciseSettings, inject: AnyInject, language: str) -> str:
    w = words(language, {}, 0)
    match inject:
        case CameraInject():
            return f"{inject.camera}: {w.t(f'sensor.{inject.fault}')}"
        case DroneInject():
            return f"{inject.drone}: {w.t(f'drone_fault.{inject.fault}')}"
        case SplitInject():
            return f"{inject.actor}: {inject.count}"
        case ReportInject():
            return f"{inject.by}: {_says(s, inject, language)}"
        case MessageInject():
            return _says(s, inject, language)
        case WeatherInject():
            given = [(name, getattr(inject, name)) for name in WEATHER]
            return "; ".join(f"{w.t(f'weather.{name}')}: {w.number(value)}" for name, value in given if value is not None)
