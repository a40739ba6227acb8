"""Why a node's place is not believed: the text that the inbox marks an arrival with, and the sentence that a screen says."""

from __future__ import annotations

from station.templates import Templates

DOUBTS = Templates({
    "doubt.outside": "{sensor} stands at {place}, outside of the sector",
    "doubt.from_survey": "{sensor} stands at {place}, {metres} m from its survey",
    "doubt.from_first": "{sensor} stands at {place}, {metres} m from where it was first",
    "doubt.sees": "{sensor} sees something at {place}, far outside of the sector",
})
