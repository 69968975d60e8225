"""Trials as coroutines of the engine's event loop: what an objective is given, and the engine's side of it."""
