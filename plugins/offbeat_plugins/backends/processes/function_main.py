"""The program of a function trial, `python function_main.py FILE DIGEST --offbeat-config PATH`; see `function_child`."""

import os
import sys

if __name__ == "__main__":
    # Instead of this folder, whose files are nobody's modules; the function's own path comes with it.
    sys.path[0:1] = [os.path.abspath(__file__).rsplit(os.sep, 4)[0]]  # noqa: PTH100 - costs no import
    from offbeat_plugins.backends.processes.function_child import main

    main(sys.argv)
