"""Trials as processes of this machine: a supervisor that starts and ends process trees, and the engine's side of it.

engine -- `link` --> `supervisor` --> a `shim` for each worker --> the trial, a fresh program (`launch`)
                         |
                         +--> `forkserver`, if modules are kept loaded: forks the shims, whose trials are forks (`forked`)

What runs on the right of the engine, `handles`, `output`, `folders`, `tree` and `wakeups` included, imports the standard
library alone. `function_main` and `function_child` are the script of trials that call a function.
"""
