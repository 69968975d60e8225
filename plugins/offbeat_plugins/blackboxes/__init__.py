"""Recorded and modelled trainings, for simulated time."""
