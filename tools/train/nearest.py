"""Which emoji and which background a picture shows, by comparison with every emoji drawn on every background.

Feature space: the picture scaled to 32 x 32 pixels (each the mean of its area), its RGB values. The background is the
one whose outer ring (two of these pixels wide, where no emoji reaches far) is nearest; then every emoji is laid on that
background, at every place that training shows, and the one with the smallest mean square difference is the answer. No
learned model takes part.
"""

from dataclasses import dataclass

import numpy as np
import torch

from train.latents import PictureMaker, to_tensor
from train.pictures import BACKGROUNDS, draw_background

SIDE = 32
RING = 2


def features(pictures: torch.Tensor) -> torch.Tensor:
    """`[batch, 3, height, width]` in -1..1 -> `[batch, 3, 32, 32]`."""
    return torch.nn.functional.interpolate(pictures, (SIDE, SIDE), mode="area")


def ring(values: torch.Tensor) -> torch.Tensor:
    """The outermost pixels of features, `[batch, values]`."""
    mask = torch.ones(SIDE, SIDE, dtype=torch.bool)
    mask[RING:-RING, RING:-RING] = False
    return values[..., mask].flatten(1)


@dataclass
class Match:
    """Answers of one picture: index of the background, index of the emoji, and each emoji's distance `[count]`."""

    background: int
    subject: int
    distances: torch.Tensor


class Matcher:
    """Compares pictures with all emoji."""

    def __init__(self, maker: PictureMaker, size: int, shifts: tuple[int, ...]):
        self.size = size
        empty = [draw_background(background, size) for background in BACKGROUNDS]
        self.rings = ring(features(to_tensor(empty)))
        black, white = np.zeros((size, size, 3), np.float32), np.full((size, size, 3), 255, np.float32)
        self.dark, self.light = [], []
        for shift in shifts:
            for canvas, kept in ((black, self.dark), (white, self.light)):
                drawn = [maker.draw_on(index, canvas, (0, shift)) for index in range(len(maker.subjects))]
                kept.append(features(to_tensor(drawn)))
        self.empty = features(to_tensor(empty))

    def candidates(self, background: int) -> torch.Tensor:
        """Every emoji at every place on one background: `[places, count, 3, 32, 32]`.

        A picture is linear in its background, so black and white ones give any other.
        """
        share = (self.empty[background] + 1) / 2
        return torch.stack([dark + (light - dark) * share for dark, light in zip(self.dark, self.light, strict=True)])

    def match(self, picture: torch.Tensor) -> Match:
        """`picture` `[3, height, width]` in -1..1."""
        found = features(picture[None])
        background = int((self.rings - ring(found)).square().mean(-1).argmin())
        distances = (self.candidates(background) - found).square().mean((2, 3, 4)).amin(0)
        return Match(background, int(distances.argmin()), distances)
