"""The latent space: principal components of 8 x 8 pixel patches.

A VAE that trains from noise spends its first thousands of steps on finding a code. This code is fixed and linear, so
the decoder, the encoder and the UNet all have their targets from the first step on, and none waits for another.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from train.pictures import BACKGROUNDS, CELL, compose, draw_background, draw_subjects
from train.subjects import Kind, Subject, shares

SAMPLE_PICTURES = 1500
SEED = 5


class PictureMaker:
    """Random pictures of chosen emoji: moved by a few pixels, on one of the backgrounds."""

    def __init__(self, subjects: list[Subject], size: int):
        self.subjects = subjects
        self.glyphs = draw_subjects(subjects, size)
        self.backgrounds = [draw_background(background, size) for background in BACKGROUNDS]

    def draw(self, subject: int, background: int, shift: tuple[int, int]) -> np.ndarray:
        """`[size, size, 3]`, 0..255."""
        return self.draw_on(subject, self.backgrounds[background], shift)

    def draw_on(self, subject: int, canvas: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
        """The same on a background that the caller has drawn."""
        return compose(self.glyphs[subject], canvas, shift)

    def draw_batch(
        self, random: np.random.Generator, count: int, weights: dict[Kind, float], reach: int
    ) -> torch.Tensor:
        """`[count, 3, size, size]` in -1..1; subjects by weight, shifted by up to `reach` pixels each way."""
        chosen = random.choice(len(self.subjects), count, p=shares(self.subjects, weights))
        shifts = random.integers(-reach, reach + 1, (count, 2))
        backgrounds = random.integers(len(self.backgrounds), size=count)
        return to_tensor(
            [
                self.draw(int(subject), int(background), (int(down), int(right)))
                for subject, background, (down, right) in zip(chosen, backgrounds, shifts, strict=True)
            ]
        )


def to_tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    """0..255 `[height, width, 3]` -> `[count, 3, height, width]` in -1..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous() / 127.5 - 1


@dataclass(frozen=True)
class PatchCode:
    """`mean` `[192]`; `basis` `[192, channels]`, orthonormal columns; `gain` `[channels]`."""

    mean: torch.Tensor
    basis: torch.Tensor
    gain: torch.Tensor

    @staticmethod
    def fit(maker: PictureMaker, weights: dict[Kind, float], channels: int) -> "PatchCode":
        """Principal components of random pictures, in float64 and with a fixed seed: the same on every run.

        The gains lift weak components by the root of their weakness and make the latents' variance 1 on the whole:
        details then count in the UNet's loss, but less than colours.
        """
        reach = CELL // 2
        pictures = maker.draw_batch(np.random.default_rng(SEED), SAMPLE_PICTURES, weights, reach).double()
        patches = functional.pixel_unshuffle(pictures, CELL).permute(0, 2, 3, 1).flatten(0, 2)
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        values, basis = values.flip(0)[:channels], vectors.flip(1)[:, :channels]
        # An eigenvector's sign is the library's choice; make its largest entry positive.
        largest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
        gain = values.pow(-0.25)
        gain = gain / (values * gain.square()).mean().sqrt()
        return PatchCode(mean.float(), (basis * largest.sign()).float(), gain.float())

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """`[batch, 3, height, width]` in -1..1 -> latents `[batch, channels, height/8, width/8]`."""
        patches = functional.pixel_unshuffle(pictures, CELL).permute(0, 2, 3, 1)
        return (((patches - self.mean) @ self.basis) * self.gain).permute(0, 3, 1, 2).contiguous()

    def preview_weights(self) -> dict[str, list]:
        """Mean colour of each patch, 0..255, as a linear function of its latents: `weights` [3][channels] and `biases`.

        The worker makes previews with it (`latent_rgb` in the VAE's config).
        """
        columns = (self.basis / self.gain).view(3, CELL * CELL, -1).mean(1) * 127.5
        biases = (self.mean.view(3, CELL * CELL).mean(1) + 1) * 127.5
        rounded = [[round(value, 4) for value in row] for row in columns.tolist()]
        return {"weights": rounded, "biases": [round(value, 4) for value in biases.tolist()]}

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The linear inverse: blocky pictures, good enough to watch the UNet learn."""
        patches = (latents.permute(0, 2, 3, 1) / self.gain) @ self.basis.T + self.mean
        return functional.pixel_shuffle(patches.permute(0, 3, 1, 2), CELL)
