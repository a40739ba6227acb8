"""How far a share that was counted can be believed."""

from __future__ import annotations


def clopper_pearson(hits: int, of: int, tail: float) -> tuple[float, float]:
    """Lower and upper end of a share, for `hits` in `of` tries, 1 at the least; beyond each end lies `tail` of the chance.

    Clopper & Pearson (1934): exact, so on the safe side where there are few tries.
    """
    # Here: the web server loads what calls this, and these are 27 MB that it does not need.
    from scipy.special import betaincinv

    low = float(betaincinv(hits, of - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, of - hits, 1.0 - tail)) if hits < of else 1.0
    return low, high
