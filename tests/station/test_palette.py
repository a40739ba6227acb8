"""The screen's colours: apart under the three colour-vision deficiencies, and read by day and by night.

Deficiencies by Machado, Oliveira and Fernandes (2009), severity 1.0, in linear RGB; difference is that of CIE 1976 L*a*b*;
contrast is WCAG's. Night is the filter that base.css lays over a page: brightness, then sepia (Filter Effects 1).
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from station.shelf import STATIC

CSS = (STATIC / "base.css").read_text(encoding="utf-8")
SCRIPT = (STATIC / "symbols.js").read_text(encoding="utf-8")
NIGHT = re.search(r"\[data-night\] body > \* \{ filter: brightness\(([\d.]+)\) sepia\(([\d.]+)\)", CSS)
ROOT = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", CSS.split("}")[0]))
AT_NIGHT = ROOT | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", re.search(r"\[data-night\] \{([^}]*)\}", CSS)[1]))
EYES = {
    "all": np.eye(3),
    "no red": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "no green": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "no blue": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
D65 = np.array([0.95047, 1.0, 1.08883])
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


def rgb(name):
    return np.array([int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def linear(c):
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(lin):
    x = XYZ @ np.clip(lin, 0, 1) / D65
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def night(c):
    b, s = (float(v) for v in NIGHT.groups())
    full = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])
    return np.clip((full * s + np.eye(3) * (1 - s)) @ np.clip(c * b, 0, 1), 0, 1)


def contrast(a, b):
    dark, light = sorted(float(XYZ[1] @ linear(c)) for c in (a, b))
    return (light + 0.05) / (dark + 0.05)


def least(colours):
    """The two that are nearest to each other, for whomever."""
    return min(
        (float(np.linalg.norm(lab(eye @ linear(a)) - lab(eye @ linear(b)))), who, x, y)
        for who, eye in EYES.items() for (x, a), (y, b) in itertools.combinations(colours.items(), 2)
    )


def test_the_three_priorities_are_apart_for_everybody_by_day_and_by_night() -> None:
    assert least({p: rgb(ROOT[p]) for p in ("p1", "p2", "p3")})[0] >= 35
    assert least({p: night(rgb(AT_NIGHT[p])) for p in ("p1", "p2", "p3")})[0] >= 25


def test_what_is_no_priority_differs_by_more_than_its_colour() -> None:
    """The border line is 8 from priority 1 for who sees no green: it is a dashed line, and no mark is."""
    assert least({"p1": rgb(ROOT["p1"]), "border": rgb(ROOT["border-line"])})[0] < 35
    layers = (STATIC / "layers.js").read_text(encoding="utf-8")
    assert re.search(r'line\("border", "border", \{[^}]*"line-dasharray"', layers)
    assert "badge(g, priority" in (STATIC / "mil.js").read_text(encoding="utf-8")


def test_the_truth_of_an_exercise_and_what_its_trainees_see_differ_by_more_than_their_colour() -> None:
    """By night, for who sees no blue, they are the same: what trainees see has a ring, on the map and in its key."""
    script = (STATIC / "trainer_map.js").read_text(encoding="utf-8")
    truth = re.search(r'TRUTH = "(#[0-9a-f]{6})"', script)[1]
    shown = re.search(r'trail: "(#[0-9a-f]{6})"', SCRIPT)[1]
    assert least({"truth": night(rgb(truth)), "shown": night(rgb(shown))})[0] < 25
    assert re.search(r'id: "shown-rings", type: "circle", source: "shown"[^\n]*"circle-opacity": 0', script)
    assert re.search(r"\.dot\.contact \{[^}]*outline: 1\.5px", (STATIC / "trainer.css").read_text(encoding="utf-8"))


def test_page_and_map_have_the_same_colours() -> None:
    drawn = dict(re.findall(r'(\w+): "(#[0-9a-f]{6})"', SCRIPT.split("};")[0]))
    for name in ("background", "panel", "text", "bright", "p1", "p2", "p3"):
        assert drawn[name] == ROOT[name]
    assert drawn["border"] == ROOT["border-line"]


@pytest.mark.parametrize("by_night", [False, True])
def test_every_text_can_be_read(by_night) -> None:
    it = AT_NIGHT if by_night else ROOT
    look = night if by_night else (lambda c: c)
    for text in ("text", "bright", "quiet", "p2", "ours"):
        for ground in ("background", "panel", "raised"):
            assert contrast(look(rgb(it[text])), look(rgb(it[ground]))) >= 4.5, (text, ground)
    for mark in ("p1", "p2", "p3", "border-line"):
        assert contrast(look(rgb(it[mark])), look(rgb(it["panel"]))) >= 3, mark
