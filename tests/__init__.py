"""Settings that libraries read once, when they are imported.

Tests run offline. One thread is enough for tiny networks, and on a busy machine several would wait for one another.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
