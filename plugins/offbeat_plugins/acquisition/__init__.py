"""What to try next, given a model: acquisition functions, their optimisation over mixed spaces, and `suggest`.

Pure functions on arrays like the surrogates that they stand on; notation as there.
"""
