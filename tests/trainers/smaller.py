"""Settings of tasks on rendered clips, so small that a test may render them."""

from __future__ import annotations

from typing import Any

from trainers.data.rendered.sources import Renders

SMALL = {"clips": 2, "val_clips": 2, "frames": 4, "val_frames": 4, "size": 24, "samples": 2}
RENDERS = Renders(**SMALL)  # type: ignore[arg-type]


def smaller(config: Any) -> Any:
    """Composed settings, with tiny clips where the task renders any."""
    data = config.task.get("data")
    if data is not None and str(data.get("_target_", "")).endswith(".Renders"):
        data.update(SMALL)
        config.task.update({"crop": 16, "frames": 3})
    return config
