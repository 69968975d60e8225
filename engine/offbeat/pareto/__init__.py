"""Several objectives at once, as pure functions of arrays: who beats whom, what stands out, how much is dominated.

Points are (n, k) and lower is better in every coordinate: callers flip the sign of what is maximised. One point dominates
another if it is as good in each coordinate and better in one; equal points do not dominate each other.
"""

from offbeat.pareto.dominance import fronts, non_dominated
from offbeat.pareto.spread import crowding, epsilon_net
from offbeat.pareto.volume import hypervolume, reference_point

__all__ = ["crowding", "epsilon_net", "fronts", "hypervolume", "non_dominated", "reference_point"]
