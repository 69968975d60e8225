"""The template's own test: the conformance suite, and what is particular to hill climbing."""

from offbeat_hillclimb import HillClimb

from offbeat.testing.rehearsal import Rehearsal
from offbeat.testing.scheduler_suite import SchedulerContract
from offbeat.testing.scripted import Report


class TestHillClimb(SchedulerContract):
    def make(self, **arguments):
        return HillClimb(**arguments)

    def test_climbs(self):
        scheduler = self.case.scheduler()
        run = Rehearsal(
            scheduler, lambda start: [Report({"loss": start.config["width"]})], stop_criterion=self.case.limit()
        )
        configs = [trial.config for trial in run.run().conductor.ledger]
        best = min(configs, key=lambda config: config["width"])
        assert best["width"] < configs[0]["width"]
        # Neighbours keep some of the values of what was best when they were proposed.
        assert any(set(one.items()) & set(best.items()) for one in configs if one != best)
