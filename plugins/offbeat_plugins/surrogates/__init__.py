"""Models of an objective as pure functions on arrays; nothing of the engine, usable alone.

Notation of this folder: n observations, d columns of codes, G groups of columns that share a length scale, p = number of
hyperparameters of a model, m outputs, q points asked about. Targets are minimised. `xp` is the array module, NumPy or
jax.numpy: formulas are written once, and only factorisations and loops exist twice.
"""
