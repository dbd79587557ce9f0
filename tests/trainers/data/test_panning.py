import numpy as np
import pytest
import torch
from scipy import ndimage

from trainers.data import bundled
from trainers.data.degradations.mixed import Chain
from trainers.data.degradations.noise import GaussianNoise
from trainers.data.degradations.resize import Area, Bicubic
from trainers.data.panning import CameraPath, PannedCrops, Poses, camera_poses, film, known_flow
from trainers.data.photo import Photo

ALL_MOTIONS = CameraPath(pan=(1.0, 3.0), shake=0.5, zoom=2.0)


def waves(side: int = 96) -> Photo:
    """A smooth picture, which interpolation hardly changes."""
    y, x = np.mgrid[:side, :side]
    planes = [np.sin(x / 5 + y / 9), np.cos(x / 7 - y / 6), np.sin(y / 5)]
    return Photo("waves", (127.5 + 110 * np.stack(planes, -1)).round().astype(np.uint8))


def warped(before: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Each pixel fetched from (x + flow x, y + flow y) by scipy's cubic splines."""
    y, x = np.mgrid[: before.shape[-2], : before.shape[-1]]
    out = np.empty(before.shape, np.float32)
    for n, (image, (dx, dy)) in enumerate(zip(before.numpy(), flow.numpy(), strict=True)):
        for c, plane in enumerate(image):
            out[n, c] = ndimage.map_coordinates(plane, [y + dy, x + dx], order=3, mode="mirror")
    return torch.from_numpy(out)


@pytest.mark.parametrize("path", [
    CameraPath(pan=(2.0, 4.0)), CameraPath(pan=(0, 0), zoom=4.0), ALL_MOTIONS,
], ids=["pan", "zoom", "all"])  # fmt: skip
def test_warping_a_frame_by_the_known_flow_gives_the_next_in_the_interior(
    path: CameraPath,
) -> None:
    clips = PannedCrops([waves()], Area(1), crop=48, frames=4, path=path)
    moving = clips.batch(0, seed=1, size=3)
    assert moving.flow.shape == (3, 3, 2, 48, 48)
    for t in range(3):
        expected = warped(moving.high[:, t], moving.flow[:, t])[..., 9:-9, 9:-9]
        found = moving.high[:, t + 1][..., 9:-9, 9:-9]
        error = (expected - found).abs().mean()
        standing = (moving.high[:, t][..., 9:-9, 9:-9] - found).abs().mean()
        assert error < 0.003
        assert error < standing / 5, (t, error, standing)


def test_whole_pixels_of_pan_are_whole_pixels_of_flow_exactly() -> None:
    still = torch.rand(1, 3, 40, 40)
    poses = Poses(np.ones((1, 3)), np.array([[[-3.0, 1.0], [0.0, 0.0], [3.0, -1.0]]]))
    frames, flow = film(still, poses, side=20), known_flow(poses, side=20)
    torch.testing.assert_close(frames[:, 1], still[..., 10:30, 10:30], atol=1e-5, rtol=0)
    torch.testing.assert_close(frames[:, 2], still[..., 9:29, 13:33], atol=1e-5, rtol=0)
    assert torch.all(flow[:, :, 0] == 3)
    assert torch.all(flow[:, :, 1] == -1)


def test_a_photograph_is_followed_too() -> None:
    clips = PannedCrops(bundled.validation_photos(), Bicubic(2), crop=24, frames=3)
    moving = clips.batch(0, seed=0, size=4)
    assert moving.low.shape == (4, 3, 3, 24, 24)
    assert moving.high.shape == (4, 3, 3, 48, 48)
    assert 0 <= moving.high.min() <= moving.high.max() <= 1
    before, now = moving.high[:, 0], moving.high[:, 1]
    error = (warped(before, moving.flow[:, 0]) - now)[..., 8:-8, 8:-8].abs().mean()
    assert error < (before - now)[..., 8:-8, 8:-8].abs().mean() / 2


def test_the_speed_is_what_was_asked_for() -> None:
    poses = camera_poses(CameraPath(pan=(2.0, 4.0), shake=0.0), np.random.default_rng(0),
                         clips=300, frames=2)  # fmt: skip
    speeds = np.linalg.norm(poses.shift[:, 1] - poses.shift[:, 0], axis=-1)
    assert speeds.min() >= 2.0
    assert speeds.max() <= 4.0
    assert speeds.std() > 0.4


@pytest.mark.parametrize("frames", [2, 5, 8])
def test_no_frame_shows_what_lies_beyond_its_reach(frames: int) -> None:
    poses = camera_poses(ALL_MOTIONS, np.random.default_rng(0), clips=500, frames=frames)
    places = poses.zoom[..., None] * 31.5 + np.abs(poses.shift)
    assert 0 < places.max() - 31.5 <= ALL_MOTIONS.reach(frames, 64) - 2


def test_the_same_step_and_seed_give_the_same_clips() -> None:
    noisy = Chain([Bicubic(2), GaussianNoise()])
    clips = PannedCrops([waves()], noisy, crop=12, frames=3)
    one, other = (clips.batch(5, seed=2, size=2) for _ in range(2))
    assert torch.equal(one.low, other.low)
    assert torch.equal(one.flow, other.flow)
    assert not torch.equal(one.flow, clips.batch(6, seed=2, size=2).flow)


def test_one_frame_is_no_clip_and_a_negative_speed_is_none() -> None:
    with pytest.raises(ValueError, match="two or more make a clip"):
        PannedCrops([waves()], Area(1), crop=8, frames=1)
    with pytest.raises(ValueError, match="pan is -1 to 3"):
        CameraPath(pan=(-1.0, 3.0))
