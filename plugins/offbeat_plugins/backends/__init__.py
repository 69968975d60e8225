"""Where trials run: one file per backend."""
