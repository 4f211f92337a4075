"""The latent space: principal components of 4 frames of 8 x 8 pixels.

As for pictures, the code is fixed and linear: the VAE and the transformer have their targets from the first step on.
The first latent stands for one frame only; it is coded as if that frame were shown four times.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from train.pictures import BACKGROUNDS, CELL
from train.wan.clips import ClipMaker
from train.wan.motions import MOTIONS

CELL_FRAMES = 4
SAMPLE_CLIPS, SAMPLES_AT_ONCE = 1000, 50
SEED = 5


def to_patches(clips: torch.Tensor) -> torch.Tensor:
    """`[batch, 3, 4n + 1, height, width]` -> `[batch, n + 1, height/8, width/8, 768]`."""
    clips = torch.cat([clips[:, :, :1].expand(-1, -1, CELL_FRAMES - 1, -1, -1), clips], 2)
    batch, channels, frames, height, width = clips.shape
    cells = clips.view(batch, channels, frames // CELL_FRAMES, CELL_FRAMES, height // CELL, CELL, width // CELL, CELL)
    return cells.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(4)


def from_patches(patches: torch.Tensor) -> torch.Tensor:
    """The way back; of the first cell's frames the last one stays."""
    batch, cells, rows, columns, _ = patches.shape
    parts = patches.view(batch, cells, rows, columns, 3, CELL_FRAMES, CELL, CELL)
    clips = parts.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(batch, 3, cells * CELL_FRAMES, rows * CELL, columns * CELL)
    return clips[:, :, CELL_FRAMES - 1 :]


@dataclass(frozen=True)
class ClipCode:
    """`mean` `[768]`; `basis` `[768, channels]`, orthonormal columns; `deviation` `[channels]` of the plain components.

    The VAE's latents have deviation 1 in every channel. The transformer's are those divided by `scale` (`latents_std`):
    weak components are smaller, by the root of their weakness, and the whole has variance 1. Details then count in the
    loss, but less than colours, and noise hides them first.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    deviation: torch.Tensor

    @property
    def scale(self) -> torch.Tensor:
        wanted = self.deviation.sqrt()
        return wanted.square().mean().sqrt() / wanted

    @staticmethod
    def fit(maker: ClipMaker, channels: int) -> "ClipCode":
        """Principal components of random clips, in float64 and with a fixed seed: the same on every run."""
        random = np.random.default_rng(SEED)
        width = 3 * CELL_FRAMES * CELL * CELL
        total, product, count = torch.zeros(width).double(), torch.zeros(width, width).double(), 0
        for _ in range(SAMPLE_CLIPS // SAMPLES_AT_ONCE):
            clips = maker.draw(
                random.integers(len(maker.subjects), size=SAMPLES_AT_ONCE),
                random.integers(len(MOTIONS), size=SAMPLES_AT_ONCE),
                random.integers(len(BACKGROUNDS), size=SAMPLES_AT_ONCE),
            )
            patches = to_patches(clips).flatten(0, 3).double()
            total += patches.sum(0)
            product += patches.T @ patches
            count += len(patches)
        mean = total / count
        values, vectors = torch.linalg.eigh(product / count - torch.outer(mean, mean))
        values, basis = values.flip(0)[:channels], vectors.flip(1)[:, :channels]
        # An eigenvector's sign is the library's choice; make its largest entry positive.
        largest = basis.gather(0, basis.abs().argmax(0, keepdim=True))
        return ClipCode(mean.float(), (basis * largest.sign()).float(), values.sqrt().float())

    @staticmethod
    def load(work: Path, maker: ClipMaker, channels: int) -> "ClipCode":
        """The same from a file, which is made where it is missing: every stage must use one code."""
        path = work / f"wan-code-{channels}.pt"
        if not path.is_file():
            code = ClipCode.fit(maker, channels)
            torch.save({"mean": code.mean, "basis": code.basis, "deviation": code.deviation}, path)
        return ClipCode(**torch.load(path, weights_only=True))

    def encode(self, clips: torch.Tensor) -> torch.Tensor:
        """`[batch, 3, 4n + 1, height, width]` in -1..1 -> `[batch, channels, n + 1, height/8, width/8]`."""
        return (((to_patches(clips) - self.mean) @ self.basis) / self.deviation).permute(0, 4, 1, 2, 3).contiguous()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The linear inverse: blocky clips, good enough to watch the transformer learn."""
        return from_patches((latents.permute(0, 2, 3, 4, 1) * self.deviation) @ self.basis.T + self.mean)

    def preview_weights(self) -> dict[str, list]:
        """Mean colour of each patch, 0..255, as a linear function of the transformer's latents.

        The worker makes previews with it (`latent_rgb` in the VAE's config): `weights` [3][channels] and `biases`.
        """
        columns = (self.basis * self.deviation * self.scale).view(3, -1, self.basis.shape[1]).mean(1) * 127.5
        biases = (self.mean.view(3, -1).mean(1) + 1) * 127.5
        rounded = [[round(value, 4) for value in row] for row in columns.tolist()]
        return {"weights": rounded, "biases": [round(value, 4) for value in biases.tolist()]}
