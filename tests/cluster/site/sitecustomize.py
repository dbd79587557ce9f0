"""Read by every Python that starts with this folder on its path: stages become toys if asked."""

import os

if os.environ.get("FREEWAY_TOY"):
    import toy_sweep

    toy_sweep.install()
