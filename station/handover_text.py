"""A hand-over sheet in words: its sections and lines, for the page and for paper alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from station.duty import HandoverView, LogLine, NoteView, Sheet, SheetItem
from station.language import Words


@dataclass(frozen=True, slots=True)
class Line:
    """since: local time. mark: the priority's sign; empty for what has none."""

    mark: str
    name: str
    since: str
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    lines: tuple[Line, ...]


MARKS = {0: "", 1: "▲ 1", 2: "◆ 2", 3: "● 3"}      # the shapes that the screen uses


def sections(sheet: Sheet, w: Words) -> tuple[Section, ...]:
    """In the order in which whoever comes must know them."""
    return (
        Section(w.t("handover.waiting"), _items(sheet.waiting, w)),
        Section(w.t("handover.taken"), _items(sheet.taken, w)),
        Section(w.t("handover.shelved"), _items(sheet.shelved, w)),
        Section(w.t("handover.teams"), _items(sheet.teams, w)),
        Section(w.t("handover.incidents"), _items(sheet.incidents, w)),
        Section(w.t("handover.blind"), _items(sheet.blind, w)),
        Section(w.t("handover.airborne"), _items(sheet.airborne, w)),
        Section(w.t("handover.notes"), _notes(sheet.notes, w)),
    )


def since_text(sheet: Sheet, w: Words) -> str:
    if not sheet.since_ns:
        return w.t("handover.since_ever", raised=sheet.raised, closed=sheet.closed)
    return w.t(
        "handover.since", at=w.time(sheet.since_ns, with_date=True), raised=sheet.raised, closed=sheet.closed
    )


def signatures(handover: HandoverView, w: Words) -> tuple[tuple[str, str, str], ...]:
    """Who, as what, and when they signed."""
    signed = handover.signed_ns
    return (
        (w.t("handover.giver"), handover.giver,
         w.t("handover.signed_at", at=w.time(handover.opened_ns, with_date=True))),
        (w.t("handover.receiver"), handover.receiver,
         w.t("handover.not_signed") if signed is None else w.t("handover.signed_at", at=w.time(signed, with_date=True))),
    )


def log_lines(log: Iterable[LogLine], w: Words) -> tuple[Line, ...]:
    return tuple(
        Line("", line.person, w.time(line.at_ns, with_date=True), _tidy(w.say(line.says)), w.short(line.about))
        for line in log
    )


def _items(items: tuple[SheetItem, ...], w: Words) -> tuple[Line, ...]:
    return tuple(
        Line(MARKS[i.priority], w.short(i.id), w.time(i.since_ns, with_date=True), _tidy(w.say(i.says)),
             "; ".join(w.say(d) for d in i.detail))
        for i in items
    )


def _notes(notes: tuple[NoteView, ...], w: Words) -> tuple[Line, ...]:
    return tuple(Line("", n.person, w.time(n.at_ns, with_date=True), w.short(n.text)) for n in notes)


def _tidy(text: str) -> str:
    """Without what an empty parameter leaves behind."""
    return text.replace("()", "").replace(". .", ".").strip().removesuffix(": ").strip()
