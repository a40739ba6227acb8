"""The debrief on paper: A4, in Vietnamese or English, with letters that both need."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from sim.debrief_sentences import in_language
from sim.exercise_debrief import Debrief, clock, everybody
from sim.score import CrossingScore
from sim.score_teams import TeamScore
from station.handover_pdf import FontMissingError, find_fonts
from station.sentences import Sentence
from wire.settings import SettingsError

WORDS = Path(__file__).parent / "assets" / "debrief_words.json"
FAMILY = "debrief"
MARGIN_MM = 15.0
Rows = list[tuple[str, ...]]


@cache
def words(language: str) -> dict[str, str]:
    return msgspec.json.decode(WORDS.read_bytes(), type=dict[str, dict[str, str]])[language]


class _Paper(FPDF):
    def __init__(self, w: dict[str, str], foot: str) -> None:
        super().__init__(format="A4")
        self._w, self._foot = w, foot
        regular, bold = find_fonts()
        self.add_font(FAMILY, "", regular)
        self.add_font(FAMILY, "B", bold)
        self.set_margin(MARGIN_MM)
        self.set_auto_page_break(True, MARGIN_MM + 4)

    def footer(self) -> None:
        self.set_y(-MARGIN_MM)
        self.set_font(FAMILY, "", 7.5)
        self.cell(0, 5, self._foot, align="L")
        self.set_y(-MARGIN_MM)
        self.cell(0, 5, self._w["page"].format(n=self.page_no(), all="{nb}"), align="R")


def debrief_pdf(d: Debrief, language: str = "vi") -> bytes:
    """The document. Raises SettingsError where no font with Vietnamese letters is installed."""
    w, s = words(language), d.score
    title = (d.words.vi if language == "vi" else d.words.en).title or d.title
    try:
        pdf = _Paper(w, f"Trailwatch · {s.exercise} · {w['seed']} {s.seed}")
    except FontMissingError as error:
        raise SettingsError(f"--pdf: {error}") from None
    pdf.set_title(f"{w['title']}: {title}")
    pdf.set_creator("Trailwatch")
    pdf.add_page()
    pdf.set_font(FAMILY, "B", 10)
    pdf.set_fill_color(225, 210, 250)
    _line(pdf, 7, w["training"], fill=True)
    pdf.set_fill_color(255)
    pdf.set_font(FAMILY, "B", 17)
    _line(pdf, 10, w["title"])
    pdf.set_font(FAMILY, "", 10)
    _line(pdf, 6, f"{title} · {w['seed']} {s.seed} · {clock(s.seconds).strip()} · {w.get(s.mode, s.mode)}")
    if s.crashed:
        why = next((m.sentences for m in d.moments if m.kind == "crash"), ())
        _line(pdf, 6, in_language(why, language) or f"{w['early']}: {s.crashed}")
    _table(pdf, w["score"], (), _score(d, w), (95, 85), w)
    _table(pdf, w["goals"], (), [
        (w[g.measure], g.goal, _n(g.value), w["not_measured" if g.met is None else "met" if g.met else "not_met"])
        for g in s.goals
    ], (80, 30, 30, 40), w)
    _table(pdf, w["moments"], (), [
        (clock(m.at_s), w[m.kind], in_language(m.sentences, language)) for m in d.moments
    ], (16, 34, 130), w)
    _table(pdf, w["crossings"], tuple(w["head_crossings"].split("|")), [
        (c.corridor, str(c.people), _t(c.in_sight_s), _t(c.alarmed_s), _n(c.wait_s), _n(c.answered_s), _closed(c, language))
        for c in s.crossings
    ], (28, 17, 24, 22, 20, 26, 43), w)
    _table(pdf, w["people"], tuple(w["head_people"].split("|")), [
        (p.name or w["together"], str(p.answered), _n(p.answer_p50_s), str(p.closed), str(p.right_reasons),
         str(p.wrong_reasons), str(p.teams_sent)) for p in everybody(s)
    ], (60, 22, 24, 20, 18, 16, 20), w)
    if s.teams:
        _table(pdf, w["teams"], tuple(w["head_teams"].split("|")), [
            (x.who, x.alarm, x.by, _n(x.waited_s), _n(None if x.arrived_s is None else x.arrived_s - x.sent_s),
             _came_of_it(x, w, language)) for x in s.teams
        ], (32, 26, 28, 20, 24, 50), w)
    if d.earlier:
        _table(pdf, f"{w['compared']}: {', '.join(d.earlier)}", (), [
            (w[c.measure], f"{w['now']} {_n(c.now)}", ", ".join(_n(b) for b in c.before)) for c in d.compared
        ], (90, 40, 50), w)
    _table(pdf, w["timeline"], (), [
        (clock(t.at_s), w[t.track], in_language(t.sentences, language)) for t in d.timeline
    ], (16, 24, 140), w)
    return bytes(pdf.output())


def _score(d: Debrief, w: dict[str, str]) -> Rows:
    s = d.score
    pd = "-"
    if s.pd.share is not None:
        pd = f"{s.pd.hits} / {s.pd.of} = {s.pd.share:.2f} (95 %: {s.pd.low:.2f} – {s.pd.high:.2f})"
    named = {c.measure: c.now for c in d.compared}
    return [(w["pd"], pd), *((w[m], _n(v)) for m, v in named.items() if m != "pd")]


def _closed(c: CrossingScore, language: str) -> str:
    return in_language((Sentence(f"close.{c.closed_as}"),), language) if c.closed_as else "-"


def _came_of_it(x: TeamScore, w: dict[str, str], language: str) -> str:
    outcome = in_language((Sentence(f"team_outcome.{x.outcome}"),), language) if x.outcome else ""
    said = (w["recalled"] if x.recalled else "", outcome, w["team_wrong"] if x.right is False else "")
    return "; ".join(part for part in said if part)


def _table(pdf: _Paper, title: str, heads: tuple[str, ...], rows: Rows, widths: tuple[int, ...], w: dict[str, str]) -> None:
    if pdf.will_page_break(22):     # a heading never stands alone at the foot of a page
        pdf.add_page()
    pdf.ln(3)
    pdf.set_font(FAMILY, "B", 11)
    _line(pdf, 6.5, title)
    pdf.set_font(FAMILY, "", 8.5)
    if not rows:
        _line(pdf, 6, w["nothing"])
        return
    with pdf.table(
        col_widths=widths, borders_layout="HORIZONTAL_LINES", first_row_as_headings=bool(heads), line_height=4.4,
        text_align="LEFT", v_align="TOP", padding=(0.6, 1, 0.6, 0), headings_style=FontFace(emphasis="BOLD"),
    ) as table:
        for cells in ([heads] if heads else []) + list(rows):
            row = table.row()
            for cell in cells:
                row.cell(cell)


def _line(pdf: FPDF, height: float, text: str, fill: bool = False) -> None:
    pdf.cell(0, height, text, fill=fill, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _t(at_s: float | None) -> str:
    return "-" if at_s is None else clock(at_s).strip()


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
