"""Trials as processes of this machine: a supervisor that starts and ends process trees, and the engine's side of it.

`supervisor`, `shim`, `tree` and `folders` are run by an isolated interpreter and import the standard library alone.
"""
