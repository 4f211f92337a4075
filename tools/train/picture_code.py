"""A short vector for a picture's content, which the text encoders learn to read from the caption.

The pooled output of the second encoder becomes this vector. Emoji that look alike then have like embeddings, and what
the UNet learns about one helps with all others: it learns to draw from a code, not each of a thousand names by itself.
"""

import numpy as np
import torch

from train.latents import PatchCode, PictureMaker, to_tensor
from train.networks import PROJECTION
from train.pictures import BACKGROUNDS, Background
from train.subjects import Kind, shares

# Of the pooled output's values: the subject's, then six for the background's colours and one that says it is known.
SUBJECT_VALUES = 160
BACKGROUND_VALUES = 7
GRAY = 128.0
# How much an emoji of each kind counts in the choice of components.
WEIGHTS: dict[Kind, float] = {"most used": 6.0, "plain thing": 6.0, "other": 1.0}


def background_values(background: Background | None) -> torch.Tensor:
    """Top and bottom colour around 0, and 1; all zeros where the caption does not say the background."""
    if background is None:
        return torch.zeros(BACKGROUND_VALUES)
    colors = torch.from_numpy(np.concatenate(background.ends)).float() / 85 - 1.5
    return torch.cat([colors, torch.ones(1)])


class PictureCodes:
    """`subjects` `[count, SUBJECT_VALUES]`: principal components of all emoji on grey, in latents, variance about 1.

    As in the latents, weak components are lifted by the root of their weakness. Often shown emoji count more.
    """

    def __init__(self, maker: PictureMaker, code: PatchCode):
        size = maker.backgrounds[0].shape[0]
        canvas = np.full((size, size, 3), GRAY, np.float32)
        drawn = to_tensor([maker.draw_on(index, canvas, (0, 0)) for index in range(len(maker.subjects))])
        values = code.encode(drawn).flatten(1).double()
        likely = torch.from_numpy(shares(maker.subjects, WEIGHTS))[:, None]
        centred = values - (values * likely).sum(0)
        _, strengths, directions = torch.linalg.svd(centred * likely.sqrt(), full_matrices=False)
        components = centred @ directions[:SUBJECT_VALUES].T / strengths[:SUBJECT_VALUES].sqrt()
        self.kept = float(strengths[:SUBJECT_VALUES].square().sum() / strengths.square().sum())
        self.subjects = (components / (components.square() * likely).sum(0).mean().sqrt()).float()
        self.backgrounds = torch.stack([background_values(background) for background in BACKGROUNDS])

    def target(self, subjects: list[int], backgrounds: list[int | None]) -> torch.Tensor:
        """`[batch, PROJECTION]`, the values that nothing uses being zero."""
        result = torch.zeros(len(subjects), PROJECTION)
        result[:, :SUBJECT_VALUES] = self.subjects[subjects]
        for row, background in enumerate(backgrounds):
            if background is not None:
                result[row, SUBJECT_VALUES : SUBJECT_VALUES + BACKGROUND_VALUES] = self.backgrounds[background]
        return result

    def nearest(self, pooled: torch.Tensor) -> torch.Tensor:
        """Index of the emoji that each pooled output is nearest to."""
        return torch.cdist(pooled[:, :SUBJECT_VALUES], self.subjects.to(pooled.device)).argmin(-1)
