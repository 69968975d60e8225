"""Hill climbing: each new configuration is the best one so far with some of its values drawn again."""

from offbeat import Objective, Space, Start, Suggested, TrialResult, described


@described
class HillClimb:
    """Starts at a random configuration; `rate` is the share of the best one's values that a neighbour draws again."""

    api_version = 1

    def __init__(self, config_space, metric, mode="min", *, rate=0.5, random_seed=0):
        self.space = Space.of(config_space)
        self.objective = Objective.of(metric, mode)
        self.seed = random_seed
        self.rate = rate
        self._sign = 1 if mode == "min" else -1
        self._best = None
        self._seen = set()

    def observe(self, event, ledger):
        """All state comes from here, so that reading the journal again rebuilds it. Lets every trial run to its end."""
        if isinstance(event, Suggested) and event.kind == "start":
            self._seen.add(self.space.key(event.config))
        elif isinstance(event, TrialResult):
            value = self._sign * event.metrics[self.objective.metrics[0].name]
            if self._best is None or value < self._best[0]:
                self._best = (value, ledger[event.trial].config)
        return ()

    def propose(self, request, ledger):
        """A new neighbour of the best configuration; changes nothing. All randomness comes from the request."""
        if not request.may_start:
            return None
        rng = request.rng("hillclimb")
        for _ in range(100):
            config = self.space.from_units(rng.random(self.space.width).tolist())
            if self._best is not None:
                config = {
                    name: config[name] if rng.random() < self.rate else old for name, old in self._best[1].items()
                }
            if self.space.key(config) not in self._seen:
                return Start(config=config, why="a neighbour of the best" if self._best else "a first guess")
        return None
