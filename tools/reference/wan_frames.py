"""Pictures made by a formula, which the tests compute too: nothing of them has to be stored."""

import numpy as np
import torch


def picture(width: int, height: int, number: int = 0) -> np.ndarray:
    """uint8 `[height, width, 3]`: slopes in each channel and a pattern that no blur of the slopes would give."""
    y, x, channel = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    values = 29 * number + 7 * y + 5 * x + 83 * channel + ((x * y * (channel + 1)) >> 3)
    return (values & 255).astype(np.uint8)


def clip(width: int, height: int, frames: int) -> torch.Tensor:
    """`[1, 3, frames, height, width]` in -1..1, as diffusers' video processor makes it of the pictures 0, 1, 2, …"""
    pictures = np.stack([picture(width, height, number) for number in range(frames)])
    values = torch.from_numpy(pictures.astype(np.float32) / 255.0)
    return 2.0 * values.permute(3, 0, 1, 2)[None] - 1.0
