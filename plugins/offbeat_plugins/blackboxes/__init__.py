"""Recorded and modelled trainings, which `SimulatedBackend` looks up instead of training."""
