"""Fit the forecast on the table, say how good it is, and write what `nas` begins with.

    python benchmarks/table/forecast.py            # figures, leave-one-out
    python benchmarks/table/forecast.py --write    # and nas/forecast.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from nas.forecast import PRIOR, Array, Belief, fitted, sizes_of
from search_spaces.base import Architecture

HERE = Path(__file__).parent
SHARES = (1 / 17, 2 / 17, 3 / 17, 4 / 17, 6 / 17, 8 / 17, 12 / 17, 1.0)
"""Looks at the metric that a probe may end with, as shares of the training."""


LONG_STEPS, SHORT_STEPS = 6000, 850
RIDGE = {"quick": 10.0, "long": 1.0}
"""Of the regression after each course. What a long training adds follows the size."""


def rows(
    entries: list[dict[str, Any]], share: float, baseline: float, *, course: str = "quick"
) -> Array:
    """(n, 2 + sizes): the gain after a course, that of the probe, and the sizes of each network.

    The probe is the metric after this share of the quick course.
    """
    found = []
    for entry in entries:
        if "metric" not in entry.get(course, {}):
            continue
        curve = entry["quick"]["curve"]
        step, probe = min(curve, key=lambda look: abs(look[0] - share * curve[-1][0]))
        sizes = sizes_of(Architecture.from_json(entry["architecture"]))
        found.append([entry[course]["metric"] - baseline, probe - baseline, *sizes])
    return np.array(found)


def left_out(data: Array, ridge: float) -> Array:
    """The full gain of each network, forecast from all the others."""
    told = np.empty(len(data))
    for k in range(len(data)):
        others = np.delete(data, k, 0)
        belief = _belief(others, ridge)
        told[k] = data[k, 1] + belief.tell(data[k : k + 1, 1:])[0][0]
    return told


def figures(data: Array, ridge: float) -> str:
    """Rank correlations of probe and forecast with the full metric, and what errors follow."""
    full, probe, told = data[:, 0], data[:, 1], left_out(data, ridge)
    errors = told - full
    return (
        f"{len(data):4d}   {spearmanr(probe, full)[0]:6.3f}   {spearmanr(told, full)[0]:6.3f}   "
        f"{spearmanr(errors, data[:, 2])[0]:+6.3f}   {spearmanr(errors, data[:, 3])[0]:+6.3f}   "
        f"{errors.std():6.3f}"
    )


def main(*, write: bool, path: Path) -> None:
    """Print the figures of every share, and write the beliefs."""
    table = json.loads(path.read_text())
    baseline = table["about"]["baseline"]
    print("course share |    n    probe  forecast  errors~macs  ~params   sd, dB")
    shares = []
    for share in SHARES[:-1]:
        data = rows(table["networks"], share, baseline)
        _print("quick", share, data)
        shares.append({"share": share, "probe_spread": float(data[:, 1].std()),
                       "networks": len(data), "belief": _belief(data, RIDGE["quick"]).to_json()})
    for share in (SHARES[3], SHARES[-1]):
        data = rows(table["networks"], share, baseline, course="long")
        _print("long", share, data)
    horizon = {"steps": LONG_STEPS, "short_steps": SHORT_STEPS, "networks": len(data),
               "low": data[:, 1:].min(0).tolist(), "high": data[:, 1:].max(0).tolist(),
               "belief": _belief(data, RIDGE["long"]).to_json()}
    if write:
        out = Path(__file__).parents[2] / "nas" / PRIOR
        told = _rounded({"shares": shares, "horizon": horizon})
        out.write_text(json.dumps(told, indent=1) + "\n")
        print(f"wrote {out}")


def _print(course: str, share: float, data: Array) -> None:
    best, ridge = data[data[:, 0] >= np.median(data[:, 0])], RIDGE[course]
    told = f"{figures(data, ridge)}   best half: {figures(best, ridge)}"
    print(f"{course:6} {share:5.2f} | {told}")


def _belief(data: Array, ridge: float) -> Belief:
    return fitted(data[:, 1:], data[:, 0] - data[:, 1], ridge=ridge)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--table", type=Path, default=HERE / "x2.json")
    asked = parser.parse_args()
    main(write=asked.write, path=asked.table)
