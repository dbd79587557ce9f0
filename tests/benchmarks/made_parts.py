"""Parts that go wrong, each in its own way, after a row that must not be lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from gpu_parts.base import Absent, Form, Pace, Row, Tell

FOLDER = "MADE_PARTS_FOLDER"


def good(form: Form, pace: Pace, tell: Tell) -> None:
    tell(Row("good", form.few[0], "measured", pace.left_s, "s", facts={"sizes": form.sizes}))


def raises(form: Form, pace: Pace, tell: Tell) -> None:
    tell(Row("raises", "before", "measured", 1.0, "ms"))
    raise RuntimeError("two\nlines")


def hangs(form: Form, pace: Pace, tell: Tell) -> None:
    tell(Row("hangs", "before", "measured", 1.0, "ms"))
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(os.environ[FOLDER], "started").write_text(str(started.pid))
    print("still at it", file=sys.stderr, flush=True)
    time.sleep(600)


def crashes(form: Form, pace: Pace, tell: Tell) -> None:
    tell(Row("crashes", "before", "measured", 1.0, "ms"))
    os.abort()


def leaves(form: Form, pace: Pace, tell: Tell) -> None:
    os._exit(7)


def absent(form: Form, pace: Pace, tell: Tell) -> None:
    raise Absent("libnvinfer is not installed")


def torn(form: Form, pace: Pace, tell: Tell) -> None:
    tell(Row("torn", "before", "measured", 1.0, "ms"))
    with open(sys.argv[-1], "a") as rows:
        rows.write('{"part": "torn", "wh')
