"""The hand-over sheet and the shift log as a page. What came over a wire is escaped; the page's script only signs."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from station.duty import Duty, HandoverView, Sheet
from station.handover_text import Line, log_lines, sections, signatures, since_text
from station.language import LANGUAGES, Words


def handover_page(
    w: Words, realm: str, sheet: Sheet, handover: HandoverView | None, duty: Duty, person: str, receivers: Iterable[str]
) -> str:
    """One whole HTML document.

    sheet: of now, or the frozen one of `handover`. person: who looks. receivers: who may take over; none for an auditor.
    """
    title, may = w.t("handover.title"), list(receivers)
    here = f"/handover/{handover.id}" if handover else "/handover"
    other = next(code for code in LANGUAGES if code != w.language)
    when = w.t("handover.frozen", handover=handover.id, at_ns=sheet.at_ns) if handover else w.t("handover.now")
    body = [
        f'<header class="sheet-head"><a href="/">{escape(w.t("handover.back"))}</a>'
        f'<a href="{here}?lang={other}">{escape(w.t("language.other"))}</a>'
        f'<a href="{here}.pdf?lang={w.language}">{escape(w.t("handover.pdf"))}</a></header>',
        f"<main><h1>{escape(title)} · {escape(sheet.sector)}</h1>",
        f'<p class="training-words">{escape(w.t("handover.training"))}</p>' if realm == "training" else "",
        f'<p class="when">{escape(when)} · {escape(w.time(sheet.at_ns, with_date=True))} {escape(w.zone())}</p>',
        f"<p>{escape(since_text(sheet, w))}</p>",
    ]
    body += _to_sign(w, handover, duty, person)
    for section in sections(sheet, w):
        body.append(f"<section><h2>{escape(section.title)} <small>{len(section.lines)}</small></h2>")
        body.append(_table(section.lines) if section.lines else f'<p class="none">{escape(w.t("handover.nothing"))}</p>')
        if handover is None and person in may and section.title == w.t("handover.incidents"):
            body += _incident_ends(w, duty)
        body.append("</section>")
    body += _signing(w, handover, person, may)
    body += _before(w, duty)
    log = _table(log_lines(duty.log, w))
    body.append(f'<section class="log"><h2>{escape(w.t("handover.log"))}</h2>{log}</section></main>')
    return (
        f'<!doctype html><html lang="{w.language}" data-realm="{realm}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="dark">'
        f"<title>{escape(title)} · Trailwatch</title>"
        '<link rel="icon" href="/static/mark.svg" type="image/svg+xml"><link rel="stylesheet" href="/static/base.css">'
        '<script src="/static/night.js"></script>'
        '<link rel="stylesheet" href="/static/handover.css"><script type="module" src="/static/handover.js"></script></head>'
        f'<body class="sheet">{"".join(body)}<div id="said" class="said" role="status" aria-live="polite"></div>'
        '<div class="frame" aria-hidden="true"></div></body></html>'
    )


def _table(lines: Iterable[Line]) -> str:
    rows = "".join(
        f'<tr><td class="mark m{escape(line.mark[-1:])}">{escape(line.mark)}</td><td class="name">{escape(line.name)}</td>'
        f'<td class="time">{escape(line.since)}</td><td>{escape(line.text)}'
        f'{f"<small>{escape(line.detail)}</small>" if line.detail else ""}</td></tr>'
        for line in lines
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _incident_ends(w: Words, duty: Duty) -> list[str]:
    """An incident whose alarms are all closed stands in no drawer any more: here it is ended."""
    return [
        f'<form class="jot end-incident" data-incident="{escape(i.id)}"><b>{escape(w.short(i.id))}</b>'
        f'<input name="outcome" maxlength="2000" required placeholder="{escape(w.t("incident.outcome"))}" '
        f'aria-label="{escape(w.t("incident.outcome"))} {escape(w.short(i.id))}">'
        f'<button type="submit" disabled>{escape(w.t("incident.close"))}</button></form>'
        for i in duty.incidents if i.closed_ns is None
    ]


def _signing(w: Words, handover: HandoverView | None, person: str, receivers: list[str]) -> list[str]:
    if handover is None:
        if person not in receivers:
            return []
        options = "".join(f'<option value="{escape(r)}">{escape(r)}</option>' for r in receivers if r != person)
        return [
            f'<form id="jot" class="jot"><input id="text" maxlength="2000" required '
            f'placeholder="{escape(w.t("note.title"))}" '
            f'aria-label="{escape(w.t("note.title"))}"><button type="submit" disabled>'
            f'{escape(w.t("note.add"))}</button></form>'
            '<form id="open" class="signing">'
            f'<label for="receiver">{escape(w.t("handover.receiver"))}</label>'
            f'<select id="receiver" required><option value="">{escape(w.t("handover.choose"))}</option>{options}</select>'
            f'<label for="note">{escape(w.t("handover.note"))}</label>'
            '<textarea id="note" maxlength="2000" rows="3"></textarea>'
            f'<button class="primary" type="submit" disabled>{escape(w.t("handover.open"))}</button></form>'
        ]
    rows = "".join(
        f"<div><dt>{escape(role)}</dt><dd><b>{escape(name)}</b> <span>{escape(signed)}</span></dd></div>"
        for role, name, signed in signatures(handover, w)
    )
    note = f'<p class="words">{escape(handover.note)}</p>' if handover.note else ""
    button = (
        f'<button id="sign" class="primary" type="button" disabled data-handover="{escape(handover.id)}">'
        f'{escape(w.t("handover.sign"))}</button>'
        if handover.signed_ns is None and person == handover.receiver else ""
    )
    return [f'<section class="signing">{note}<dl>{rows}</dl>{button}</section>']


def _to_sign(w: Words, handover: HandoverView | None, duty: Duty, person: str) -> list[str]:
    """Above everything, for whom a sheet was made out to and who has not signed it."""
    return [
        f'<p class="to-sign"><a href="/handover/{escape(h.id)}?lang={w.language}">'
        f'{escape(w.t("handover.to_sign", handover=h.id, giver=h.giver, at_ns=h.opened_ns))}</a></p>'
        for h in duty.handovers
        if h.signed_ns is None and h.receiver == person and (handover is None or h.id != handover.id)
    ]


def _before(w: Words, duty: Duty) -> list[str]:
    if not duty.handovers:
        return []
    rows = "".join(
        f'<li><a href="/handover/{escape(h.id)}?lang={w.language}">{escape(w.short(h.id))}</a> '
        f"{escape(w.time(h.opened_ns, with_date=True))} · {escape(h.giver)} → {escape(h.receiver)}"
        f'{"" if h.signed_ns else " · " + escape(w.t("handover.not_signed"))}</li>'
        for h in duty.handovers
    )
    return [f'<section><h2>{escape(w.t("handover.before"))}</h2><ul class="before">{rows}</ul></section>']
