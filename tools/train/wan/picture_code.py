"""A short vector for a clip's content, which the text encoder learns to read from the caption.

Every token's output holds it. Emoji that look alike have like embeddings: the transformer learns to draw from a code.
"""

import torch
from torch.nn import functional

from train.picture_code import BACKGROUND_VALUES, background_values
from train.pictures import BACKGROUNDS
from train.wan.clips import ClipMaker
from train.wan.motions import MOTIONS

SUBJECT_VALUES = 64
SIDE = 16
VALUES = SUBJECT_VALUES + BACKGROUND_VALUES + len(MOTIONS)
# A motion's own value; the mean square of all others is about 1 too.
MOTION_STRENGTH = 2.0


class ClipCodes:
    """`subjects` `[count, SUBJECT_VALUES]`: principal components of all emoji on grey, weak ones lifted, variance 1."""

    def __init__(self, maker: ClipMaker):
        layers = torch.from_numpy(maker.layers[:, MOTIONS.index("still"), 0]).float() / 255
        drawn = layers[:, :3] + (1 - layers[:, 3:]) * 0.5
        edge = maker.size * 3 // 16
        shown = (
            functional.interpolate(drawn[..., edge:-edge, edge:-edge], (SIDE, SIDE), mode="area").flatten(1).double()
        )
        centred = shown - shown.mean(0)
        _, strengths, directions = torch.linalg.svd(centred, full_matrices=False)
        components = centred @ directions[:SUBJECT_VALUES].T / strengths[:SUBJECT_VALUES].sqrt()
        self.subjects = (components / components.square().mean().sqrt()).float()
        self.backgrounds = torch.stack([background_values(background) for background in BACKGROUNDS])

    def target(self, subjects: list[int], motions: list[int | None], backgrounds: list[int | None]) -> torch.Tensor:
        """`[batch, VALUES]`; zeros where the caption does not say it."""
        result = torch.zeros(len(subjects), VALUES)
        result[:, :SUBJECT_VALUES] = self.subjects[subjects]
        for row, (motion, background) in enumerate(zip(motions, backgrounds, strict=True)):
            if background is not None:
                result[row, SUBJECT_VALUES : SUBJECT_VALUES + BACKGROUND_VALUES] = self.backgrounds[background]
            if motion is not None:
                result[row, SUBJECT_VALUES + BACKGROUND_VALUES + motion] = MOTION_STRENGTH
        return result
