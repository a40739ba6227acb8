"""Sentences that are kept or passed on as English texts, and taken apart again by the table that they were made by.

For where a text is what there is room for: a mark in a database, an error of the command line. A screen then says it in the
person's language, also where it was written before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOLE = re.compile(r"(\{\w+\})")
Params = dict[str, str | float | int]


class Templates:
    """table: by key of the language files. before: a regular expression of what may stand before the text."""

    def __init__(self, table: Mapping[str, str], before: str = "") -> None:
        self.table = table
        self._forms = {key: re.compile(before + _form(text), re.DOTALL) for key, text in table.items()}

    def text(self, key: str, **values: str | int | float) -> str:
        return self.table[key].format(**values)

    def within(self, name: str, text: str) -> Params:
        """The text as the value `name` of a sentence; beside it its key and values (wire.node_words), where it is known."""
        for key, form in self._forms.items():
            if found := form.fullmatch(text):
                values = {f"{name}|{n}": value for n, value in found.groupdict().items()}
                return {name: text, f"{name}|key": key, **values}
        return {name: text}


def _form(text: str) -> str:
    return "".join(f"(?P<{part[1:-1]}>.+)" if _HOLE.fullmatch(part) else re.escape(part) for part in _HOLE.split(text))
