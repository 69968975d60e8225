"""How likely a paused trial is to be promoted: what its checkpoint is worth."""

from __future__ import annotations


def promotion_chance(better: int, size: int, share: float) -> float:
    """Chance that a trial ends up among the best `share` of its rung, as a number with 12 digits from 0 to 1.

    `better` of the rung's `size` entries, the trial's own included, are strictly better than it. Before anything is known
    the part theta of all configurations that are better than it may be any number with equal chance; then it is distributed
    as Beta(better + 1, size - better), and as more and more trials arrive, the trial is promoted if theta < share. No more
    trials than have come by now are foreseen by a limit of time, so the chance errs on the side of keeping.
    """
    from scipy.special import betainc

    return float(f"{betainc(better + 1, size - better, share):.12g}")
