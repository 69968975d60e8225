"""Plots of experiments, each found by its entry point in the group `offbeat.plots`; `offbeat.plots` has them by name."""
