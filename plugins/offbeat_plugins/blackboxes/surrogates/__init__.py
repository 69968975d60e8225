"""What stands behind `add_surrogate`: answers for configurations that a table does not hold."""
