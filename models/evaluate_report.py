"""An evaluation as a table for a person, as JSON for a program, and as curves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from models.evaluate import EVERYTHING, Band, Evaluation


def as_json(e: Evaluation) -> dict[str, Any]:
    """All figures without the curves; a band's open end is null."""
    out: dict[str, Any] = msgspec.to_builtins(e)
    del out["curves"]
    for key in ("by_height", "by_depression"):
        out[key] = [_band(b) for b in getattr(e, key)]
    return out


def _band(b: Band) -> dict[str, Any]:
    return {
        "from": b.low if math.isfinite(b.low) else None, "to": b.high if math.isfinite(b.high) else None,
        "people": b.people, "found": b.found, "recall": b.recall,
    }


def as_table(e: Evaluation) -> str:
    """Lines for a terminal."""
    lines = [
        f"{e.weights} at {e.input_size_px} px on {e.folder}: {e.pictures} pictures, {e.empty_pictures} of them empty, "
        f"{e.objects} objects{_asked(e)}",
        f"mAP50     {_share(e.map50)}     mAP50-95  {_share(e.map50_95)}",
        f"at score {e.threshold:g}: precision {_share(e.precision)}, recall {_share(e.recall)}",
        f"false finds per empty picture {_share(e.false_finds_per_empty)}; "
        f"{e.empty_with_false_find} of {e.empty_pictures} have any",
        "",
        "class         AP50",
        *(f"{name:12} {_share(value)}" for name, value in e.ap50.items()),
        "",
        "people by longer side, px          recall",
        *(_line(b, "px") for b in e.by_height if b.people),
    ]
    lines += ["", "threshold  precision  recall  false finds per empty picture"]
    lines += [
        f"{p.threshold:9g}      {_share(p.precision)}   {_share(p.recall)}  {_share(p.false_finds_per_empty)}"
        for p in e.points
    ]
    if any(b.people for b in e.by_depression):
        lines += ["", "people of 24 px and more by depression   recall"]
        lines += [_line(b, "deg") for b in e.by_depression if b.people]
    return "\n".join(lines)


def _asked(e: Evaluation) -> str:
    a = e.asked_for
    return "" if a == EVERYTHING else f" that are asked for: {a.least_visible:.0%} of them seen, {a.least_px:g} px and more"


def _line(b: Band, unit: str) -> str:
    low = f"{b.low:g}" if b.low > -90 else "..."
    high = f"{min(b.high, 90.0):g}" if unit == "deg" else (f"{b.high:g}" if math.isfinite(b.high) else "...")
    return f"{low:>6} to {high:>5} {unit:4} {b.found:6} of {b.people:6}  {_share(b.recall)}"


def _share(value: float | None) -> str:
    return "    -" if value is None else f"{value:.3f}"


def draw_curves(e: Evaluation, path: Path) -> None:
    """Precision over recall for each class, recall over height and over depression, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(15, 4.6))
    for name, (recall, precision) in e.curves.items():
        axes[0].plot(recall, precision, label=f"{name} {e.ap50[name]:.2f}")
    axes[0].set(xlabel="recall", ylabel="precision", title=f"IoU 0.5; mAP50 {_share(e.map50)}", xlim=(0, 1), ylim=(0, 1.02))
    if e.curves:
        axes[0].legend(fontsize=8)
    for axis, bands, what in ((axes[1], e.by_height, "longer side, px"), (axes[2], e.by_depression, "depression, degrees")):
        with_people = [b for b in bands if b.people]
        ticks = [f"{max(b.low, 0):g}\u2013{min(b.high, 9999):g}" for b in with_people]
        axis.bar(range(len(ticks)), [b.recall or 0.0 for b in with_people], color="#5ab4f0")
        for k, b in enumerate(with_people):
            axis.text(k, 0.02, f"n={b.people}", ha="center", fontsize=8)
        axis.set_xticks(range(len(ticks)), ticks, rotation=30)
        axis.set(ylim=(0, 1.02), xlabel=what, ylabel="recall", title=f"people found at score {e.threshold:g}")
    figure.suptitle(f"{e.weights} on {e.folder}")
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
