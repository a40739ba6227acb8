"""The hand-over sheet on paper: A4, black on white, with room for two signatures by hand beside those of the logins.

fpdf2 embeds the part of the font that is used, so that Vietnamese letters print anywhere. Noto Sans comes with Debian's
fonts-noto-core, DejaVu Sans with fonts-dejavu-core and with matplotlib, which ultralytics brings along.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from station.duty import HandoverView, Sheet
from station.handover_text import Section, sections, signatures, since_text
from station.language import Words

FAMILY = "sheet"
FONTS = (
    ("/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf", "/usr/share/fonts/truetype/noto/NotoSans-Bold.ttf"),
    ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"),
)
MARGIN_MM = 16.0
COLUMNS_MM = (13.0, 23.0, 33.0, 109.0)
RULE_GREY = 170


class FontMissingError(Exception):
    """No font with Vietnamese letters; the text says which Debian package brings one."""


def find_fonts() -> tuple[Path, Path]:
    """Regular and bold. Raises FontMissingError."""
    found = [(Path(regular), Path(bold)) for regular, bold in FONTS]
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        folder = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"
        found.append((folder / "DejaVuSans.ttf", folder / "DejaVuSans-Bold.ttf"))
    for regular, bold in found:
        if regular.exists() and bold.exists():
            return regular, bold
    raise FontMissingError("no font with Vietnamese letters is installed: apt-get install fonts-noto-core")


class _Paper(FPDF):
    """foot: what stands left in the foot of each page."""

    def __init__(self, w: Words, foot: str) -> None:
        super().__init__(format="A4")
        self._words = w
        self._foot = foot
        regular, bold = find_fonts()
        self.add_font(FAMILY, "", regular)
        self.add_font(FAMILY, "B", bold)
        # Signs that a text face lacks (▲ ◆ ●) are taken from the other.
        fallback = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
        if fallback.exists():
            self.add_font("signs", "", fallback)
            self.add_font("signs", "B", fallback)
            self.set_fallback_fonts(["signs"], exact_match=False)
        self.set_margin(MARGIN_MM)
        self.set_auto_page_break(True, MARGIN_MM + 4)

    def footer(self) -> None:
        self.set_y(-MARGIN_MM)
        self.set_font(FAMILY, "", 7.5)
        self.set_text_color(90)
        self.cell(0, 5, self._foot, align="L")
        self.set_y(-MARGIN_MM)
        # fpdf2 puts the number of pages in place of {nb} when the document is closed.
        self.cell(0, 5, self._words.t("handover.page", n=self.page_no(), all="{nb}"), align="R")
        self.set_text_color(0)


def handover_pdf(w: Words, realm: str, sheet: Sheet, handover: HandoverView | None) -> bytes:
    """The document. Raises FontMissingError."""
    name = w.short(handover.id) if handover else w.t("handover.now")
    pdf = _Paper(w, f"Trailwatch · {sheet.sector} · {name}")
    pdf.set_title(f"{w.t('handover.title')} {name}")
    pdf.set_creator("Trailwatch")
    pdf.add_page()
    if realm == "training":
        pdf.set_font(FAMILY, "B", 10)
        pdf.set_fill_color(225, 210, 250)
        pdf.cell(0, 7, w.t("handover.training"), align="C", fill=True, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.set_fill_color(255)
        pdf.ln(2)
    pdf.set_font(FAMILY, "B", 17)
    pdf.cell(0, 9, w.t("handover.title"), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font(FAMILY, "", 10)
    when = f"{w.time(sheet.at_ns, with_date=True)} {w.zone()}"
    pdf.cell(0, 6, f"{sheet.sector} · {name} · {when}", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.cell(0, 6, since_text(sheet, w), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    for section in sections(sheet, w):
        _section(pdf, section, w)
    if handover is not None:
        _signatures(pdf, handover, w)
    return bytes(pdf.output())


def _section(pdf: FPDF, section: Section, w: Words) -> None:
    if pdf.will_page_break(22):     # a heading never stands alone at the foot of a page
        pdf.add_page()
    pdf.ln(3)
    pdf.set_font(FAMILY, "B", 11)
    pdf.cell(0, 6.5, f"{section.title} ({len(section.lines)})", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_draw_color(RULE_GREY)
    pdf.line(MARGIN_MM, pdf.get_y(), pdf.w - MARGIN_MM, pdf.get_y())
    pdf.set_font(FAMILY, "", 9)
    if not section.lines:
        pdf.set_text_color(90)
        pdf.cell(0, 6, w.t("handover.nothing"), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.set_text_color(0)
        return
    with pdf.table(
        col_widths=COLUMNS_MM, borders_layout="HORIZONTAL_LINES", first_row_as_headings=False, line_height=4.6,
        text_align="LEFT", v_align="TOP", padding=(0.7, 1, 0.7, 0),
    ) as table:
        for line in section.lines:
            row = table.row()
            row.cell(line.mark, style=FontFace(emphasis="BOLD"))
            row.cell(line.name)
            row.cell(line.since)
            row.cell(f"{line.text}\n{line.detail}" if line.detail else line.text)


def _signatures(pdf: FPDF, handover: HandoverView, w: Words) -> None:
    if handover.note:
        pdf.ln(4)
        pdf.set_font(FAMILY, "B", 10)
        pdf.cell(0, 6, w.t("handover.note"), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.set_font(FAMILY, "", 10)
        pdf.multi_cell(0, 5, handover.note, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    if pdf.will_page_break(48):
        pdf.add_page()
    pdf.ln(6)
    top, width = pdf.get_y(), (pdf.w - 2 * MARGIN_MM - 10) / 2
    for i, (role, name, signed) in enumerate(signatures(handover, w)):
        left = MARGIN_MM + i * (width + 10)
        pdf.set_xy(left, top)
        for text, style, size in ((role, "", 9), (name, "B", 11), (signed, "", 9)):
            pdf.set_x(left)
            pdf.set_font(FAMILY, style, size)
            pdf.multi_cell(width, 5.2, text, new_x=XPos.LEFT, new_y=YPos.NEXT)
        pdf.line(left, top + 36, left + width, top + 36)
    pdf.set_y(top + 38)
