"""Why a node's place is not believed: the text that the inbox marks an arrival with, and the sentence that a screen says.

The inbox keeps a text, for whoever looks into the file; the mind takes it apart again by the same table.
"""

from __future__ import annotations

import re

DOUBTS: dict[str, str] = {
    "doubt.outside": "{sensor} stands at {place}, outside of the sector",
    "doubt.from_survey": "{sensor} stands at {place}, {metres} m from its survey",
    "doubt.from_first": "{sensor} stands at {place}, {metres} m from where it was first",
    "doubt.sees": "{sensor} sees something at {place}, far outside of the sector",
}
_FORMS = {
    key: re.compile("".join(f"(?P<{part[1:-1]}>.+)" if part.startswith("{") else re.escape(part)
                            for part in re.split(r"(\{\w+\})", text)))
    for key, text in DOUBTS.items()
}


def doubt(key: str, **values: str | int) -> str:
    return DOUBTS[key].format(**values)


def within(text: str) -> dict[str, str | float | int]:
    """The text as the value `detail` of a sentence, with its key and values beside it (wire.node_words)."""
    for key, form in _FORMS.items():
        if found := form.fullmatch(text):
            values = {f"detail|{name}": value for name, value in found.groupdict().items()}
            return {"detail": text, "detail|key": key, **values}
    return {"detail": text}
