"""A machine whose clock is wrong: Python imports this file by its name where its folder is in PYTHONPATH.

Dates of files stay those of the true clock: a machine with a wrong one has them wrong as well.
"""

import os
import time

_true_time, _true_time_ns = time.time, time.time_ns
_ahead_s = float(os.environ["TESTS_CLOCK_AHEAD_S"])

time.time = lambda: _true_time() + _ahead_s
time.time_ns = lambda: _true_time_ns() + int(_ahead_s * 1e9)
