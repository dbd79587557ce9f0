"""How much the GPU script measures: on a GPU, reduced on a processor, and the least of each."""

from __future__ import annotations

import os
from dataclasses import replace

from gpu_parts.base import Device, Form

NETWORKS = (
    "ecbsr_m4c16", "espcn", "sesr_m5", "etds_m", "abpn_m4c28", "xlsr", "quicksrnet_small",
    "fsrcnn", "sesr_xl", "ecbsr_m6c40", "ecbsr_m4c8", "ecbsr_m4c32", "sesr_m3", "sesr_m11",
    "etds_t", "etds_s", "etds_l", "abpn_m6c40", "quicksrnet_medium", "fsrcnn_s",
)  # fmt: skip
"""Upscalers from 0.6 to 35 GMACs at 360x640, all of operators that the inductor engine covers;
should there be no time for all of them, the first ones are of one family each."""
_MOST_COMPILERS = 8


def form_for(device: Device, *, smallest: bool) -> Form:
    """What is measured on this device; `smallest` is one network, to see that everything runs."""
    cores = len(os.sched_getaffinity(0))
    form = Form(
        "cuda", NETWORKS, NETWORKS[:3], ("fp16", "fp32"), ((360, 640), (1080, 1920)),
        compilers=min(_MOST_COMPILERS, cores // 2),
    )  # fmt: skip
    if device == "cpu":
        # Processors have no CUDA graphs, and few have arithmetic in fp16.
        form = replace(
            form, device="cpu", networks=NETWORKS[:2], few=NETWORKS[:1], precisions=("fp32",),
            sizes=((90, 160),), at_once=(1, 2), compiling=("none", "default"), workers=(1,),
            compilers=1,
        )  # fmt: skip
    if smallest:
        form = replace(
            form, networks=("ecbsr_m4c8",), few=("ecbsr_m4c8",), sizes=((24, 32),),
            measure_s=0.3, at_once=form.at_once[:1], workers=form.workers[:1], screen_s=2.0,
            batch=2, crop=16, window_s=0.5, compilers=1,
        )  # fmt: skip
    return form
