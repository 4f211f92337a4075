"""What a clip shows, without any learned model: its background, its subject, and how the subject moves.

Background and subject come from the middle frame, as `train/nearest.py` does it for pictures: at 32 x 32 pixels the
background is the one whose outer ring is nearest, and the subject the emoji that is nearest on that background, in any
pose that a motion has in its middle. The motion is measured: where the middle of what differs from the background lies
in each frame, how large it is, how strong it is, and how much it changes.
"""

from dataclasses import dataclass

import torch

from train.nearest import features, ring
from train.pictures import BACKGROUNDS
from train.wan.clips import ClipMaker
from train.wan.motions import BOUNCES, FRAMES, MOTIONS

# Of the strongest difference from the background in a frame: what counts as the subject.
SUBJECT_LEVEL = 0.35
# A fading subject begins with less than this share of its strength at the end.
FADED = 0.4
# Natural logarithm of the area at the end over that at the beginning; a full growth is 2.1.
GROWN = 0.8
# In sides of the picture, between the first and the last frame; a full move is 0.4, and a car that spins makes 0.13.
MOVED = 0.18
# Likeness of the heights with those of a bounce, and their least range in sides; a full bounce is 0.24.
BOUNCED, BOUNCE_RANGE = 0.6, 0.08
# Mean change since the first frame, as a share of the subject's mean difference from the background.
CHANGED = 0.3


@dataclass(frozen=True)
class Seen:
    """Indices of the background and of the subject, and the motion's name."""

    background: int
    subject: int
    motion: str


def _weights(clip: torch.Tensor, background: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pixels of each frame belong to the subject (0 or 1), and each frame's strongest difference."""
    apart = (clip - background).abs().mean(0)
    strength = apart.flatten(1).quantile(0.985, dim=1)
    mask = apart > SUBJECT_LEVEL * strength.clamp_min(0.08).view(-1, 1, 1)
    return mask.float(), strength


def motion_of(clip: torch.Tensor, background: torch.Tensor) -> str:
    """`clip` `[3, frames, side, side]` and the empty `background` `[3, 1, side, side]`, in -1..1."""
    mask, strength = _weights(clip, background)
    if strength[:2].mean() < FADED * strength[-2:].mean():
        return "fades in"
    area = mask.sum((1, 2)).clamp_min(1)
    growth = float((area[-2:].mean() / area[:2].mean()).log())
    if abs(growth) > GROWN:
        return "grows" if growth > 0 else "shrinks"
    places = torch.linspace(-0.5, 0.5, mask.shape[-1])
    right = (mask.sum(1) * places).sum(1) / area
    down = (mask.sum(2) * places).sum(1) / area
    sideways, downwards = (float(values[-2:].mean() - values[:2].mean()) for values in (right, down))
    if max(abs(sideways), abs(downwards)) > MOVED:
        if abs(sideways) > abs(downwards):
            return "moves right" if sideways > 0 else "moves left"
        return "moves down" if downwards > 0 else "moves up"
    ideal = -(torch.linspace(0, BOUNCES * torch.pi, len(down))).sin().abs()
    likeness = torch.corrcoef(torch.stack([ideal, down]))[0, 1]
    if down.max() - down.min() > BOUNCE_RANGE and likeness > BOUNCED:
        return "bounces"
    change = (clip[:, 1:] - clip[:, :1]).abs().mean() / (clip - background).abs().mean()
    return "spins" if change > CHANGED else "still"


class Judge:
    """Compares clips with all subjects."""

    def __init__(self, maker: ClipMaker):
        self.maker = maker
        empty = maker.backgrounds / 127.5 - 1
        self.empty = empty
        self.rings, self.shrunk = ring(features(empty)), features(empty)
        layers = torch.from_numpy(maker.layers[:, :, FRAMES // 2].copy()).float() / 255
        count = len(maker.subjects) * len(MOTIONS)
        self.layers = torch.nn.functional.interpolate(
            layers.view(count, 4, maker.size, maker.size), (32, 32), mode="area"
        )

    def see(self, clip: torch.Tensor) -> Seen:
        """`clip` `[3, frames, side, side]` in -1..1."""
        found = features(clip[None, :, FRAMES // 2])
        background = int((self.rings - ring(found)).square().mean(-1).argmin())
        drawn = 2 * self.layers[:, :3] - 1 + (1 - self.layers[:, 3:]) * (self.shrunk[background] + 1)
        nearest = int((drawn - found).square().mean((1, 2, 3)).argmin())
        motion = motion_of(clip, self.empty[background][:, None])
        return Seen(background, nearest // len(MOTIONS), motion)


def background_name(index: int) -> str:
    return BACKGROUNDS[index].name
