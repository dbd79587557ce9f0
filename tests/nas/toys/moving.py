"""Moving pictures, twice as large: a task with a motion map, and networks with a memory."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from skimage import data
from torch.nn import functional

from runtime.signature import Port, Signature
from search_spaces.base import Architecture, BlockSpec
from search_spaces.blocks import append
from search_spaces.graph import GraphBuilder
from search_spaces.primitives import Add, Concat, Conv, DepthToSpace, Shift, Warp
from search_spaces.skeletons import skeleton
from trainers.base import Batch, Metric

SCALE, FRAMES, STATE = 2, 4, 8
SIGNATURE = Signature(
    inputs=(
        Port("frame", 3), Port("motion", 2, kind="map"), Port("history", STATE, kind="state"),
    ),
    outputs=(Port("large", 3, Fraction(SCALE)), Port("features", STATE, kind="state")),
    carried={"features": "history"},
)


class Moving:
    """A still picture under a camera that pans: each frame is averaged down by 2.

    Motion is that of the frame's pixels: what is at x now was at x + motion before.
    """

    metric = Metric("psnr", "dB", "max")
    signature = SIGNATURE
    baseline_name = "nearest"

    def __init__(self, *, crop=16, clips=2, seed=0):
        self.crop, self.seed, self.clips = crop, seed, clips
        pixels = data.astronaut()[::2, ::2].transpose(2, 0, 1)
        self.picture = torch.from_numpy(np.ascontiguousarray(pixels)).float()[None] / 255

    def film(self, draws, frames, height, width):
        """Frames (1, T, 3, height, width), their motion, and the large pictures."""
        speed = draws.uniform(-1.5, 1.5, 2)
        rows, columns = height * SCALE, width * SCALE
        room = np.array(self.picture.shape[2:]) - (rows, columns)
        places = draws.random(2) * room + SCALE * speed[::-1] * np.arange(frames)[:, None]
        # At the picture's border the camera turns round.
        corners = np.round(np.abs((places + room) % (2 * room) - room)).astype(int)
        steps = np.diff(corners, axis=0, prepend=corners[:1])
        cuts = [self.picture[0, :, y : y + rows, x : x + columns] for y, x in corners]
        large = torch.stack(cuts)
        low = (functional.avg_pool2d(large, SCALE) * 255).round() / 255
        motion = torch.from_numpy(steps[:, ::-1] / SCALE).float()
        return low, motion[:, :, None, None].expand(-1, -1, height, width).contiguous(), large

    def batch(self, step, *, seed, size, device="cpu"):
        draws = np.random.default_rng((seed, step))
        films = [self.film(draws, FRAMES, self.crop, self.crop) for _ in range(size)]
        low, motion, large = (torch.stack(part).to(device) for part in zip(*films, strict=True))
        return Batch({"frame": low, "motion": motion}, large, FRAMES)

    def loss(self, outputs, batch):
        return (outputs["large"] - batch.truth).square().mean()

    def calibration(self, count):
        return self.batch(2**31, seed=self.seed, size=count)

    def films(self):
        draws = np.random.default_rng((self.seed, 2**32))
        return [self.film(draws, 6, 2 * self.crop, 2 * self.crop) for _ in range(self.clips)]

    def scores(self, run):
        found = []
        for low, motion, large in self.films():
            made = run([
                {"frame": low[t : t + 1].numpy(), "motion": motion[t : t + 1].numpy()}
                for t in range(len(low))
            ])
            found.append(psnr(np.concatenate([one["large"] for one in made]), large.numpy()))
        return tuple(found)

    def baseline(self):
        return float(np.mean([
            psnr(functional.interpolate(low, scale_factor=SCALE).numpy(), large.numpy())
            for low, _, large in self.films()
        ]))


def psnr(one, other):
    error = np.clip(one, 0, 1) - np.clip(other, 0, 1)
    return float(-10 * np.log10(np.mean(error**2)))


@skeleton("moving_upscaler")
def moving_upscaler(architecture):
    """The history where it is now, beside the frame, through the blocks: features and residual."""
    graph = GraphBuilder(*architecture.signature.inputs)
    frame, motion, history = range(3)
    image = graph.add(Shift, frame, value=-128 / 255)
    body = graph.add(Concat, image, graph.add(Warp, history, motion))
    for spec in architecture.blocks:
        body = append(graph, body, spec)
    # Bounded, or what is carried over hundreds of frames may grow without end.
    features = graph.add(Conv, body, out_channels=STATE, activation="clip")
    residual = graph.add(Conv, body, out_channels=3 * SCALE**2)
    base = graph.add(Conv, image, out_channels=3 * SCALE**2, kernel=(1, 1), groups=3,
                     fixed="nearest", factor=SCALE, offset=128 / 255)
    large = graph.add(DepthToSpace, graph.add(Add, residual, base), factor=SCALE)
    return graph.finish({"large": large, "features": features})


@dataclass(frozen=True)
class MovingSpace:
    """One to three equal convolutions in the middle."""

    widths: tuple = (8, 16)
    start: tuple = ({"width": 8, "depth": 1},)

    def propose(self, chooser):
        width = chooser.suggest_categorical("width", list(self.widths))
        depth = chooser.suggest_int("depth", 1, 3)
        return Architecture("moving_upscaler", SIGNATURE, (BlockSpec.of("conv", width, depth),))
