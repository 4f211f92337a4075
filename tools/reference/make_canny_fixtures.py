#!/usr/bin/env python3
"""Writes the edges that OpenCV finds in pictures: pipelines/images/fixtures/canny.safetensors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

OUTPUT = Path(__file__).resolve().parents[2] / "pipelines/images/fixtures/canny.safetensors"


def shapes(width: int, height: int, seed: int) -> np.ndarray:
    """Coloured shapes with hard and soft edges at every angle, and some noise."""
    noise = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), (90, 140, 190))
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        x, y, size = noise.integers(0, width), noise.integers(0, height), int(noise.integers(6, 30))
        color = tuple(int(value) for value in noise.integers(0, 256, 3))
        corners = [(x, y), (x + size, y + int(noise.integers(0, 20))), (x - int(noise.integers(0, 9)), y + size)]
        draw.polygon(corners, fill=color) if noise.random() < 0.5 else draw.ellipse((x, y, x + size, y + size), color)
    soft = cv2.GaussianBlur(np.array(image), (0, 0), float(noise.random() + 0.3))
    return np.clip(soft.astype(int) + noise.integers(-12, 13, soft.shape), 0, 255).astype(np.uint8)


def main() -> int:
    noise = np.random.default_rng(9).integers(0, 256, (23, 31, 3), dtype=np.uint8)
    small = [np.full((5, 7, 3), 200, np.uint8), noise[:1, :9], noise[:9, :1]]
    pictures = [shapes(64, 48, 1), shapes(41, 67, 2), shapes(80, 40, 3), noise, *small]
    tensors = {}
    for index, picture in enumerate(pictures):
        picture = np.ascontiguousarray(picture)
        tensors[f"{index}.picture"] = torch.from_numpy(picture)
        tensors[f"{index}.edges"] = torch.from_numpy(cv2.Canny(picture, 100, 200))
    save_file(tensors, OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
