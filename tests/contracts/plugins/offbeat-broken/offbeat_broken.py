"""Raises when it is imported, and says that it was."""

import sys

sys.stderr.write("offbeat_broken was imported\n")

raise RuntimeError("this module needs a library that nobody has")
