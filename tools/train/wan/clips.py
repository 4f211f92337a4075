"""Clips of the training set: an emoji that moves, on a plain, gradient or scenic background."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional

from train.pictures import BACKGROUNDS, FONT, GLYPH_WIDTH, STRIKE, draw_background
from train.subjects import VARIATION_SELECTOR, Subject, load_subjects
from train.wan.motions import FRAMES, MOTIONS, WIDTH, Pose, poses

SIZE = 64
THINGS = Path(__file__).parent / "things.txt"
# Frames are drawn so many times larger and then averaged: edges move by fractions of a pixel.
OVERSAMPLING = 3


def load_things() -> list[Subject]:
    """The subjects of things.txt, in its order."""
    lines = (line.split("#")[0].strip() for line in THINGS.read_text(encoding="utf-8").splitlines())
    known = {subject.character: subject for subject in load_subjects()}
    return [known[line.removesuffix(VARIATION_SELECTOR)] for line in lines if line]


def glyph(subject: Subject, font: ImageFont.FreeTypeFont) -> torch.Tensor:
    """The emoji's bitmap in the middle of a square, `[4, side, side]` in 0..1, colours multiplied by alpha."""
    side = GLYPH_WIDTH
    image = Image.new("RGBA", (side, side))
    left, top, right, bottom = font.getbbox(subject.character)
    place = ((side - right - left) // 2, (side - bottom - top) // 2)
    ImageDraw.Draw(image).text(place, subject.character, font=font, embedded_color=True)
    values = torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)
    return torch.cat([values[:3] * values[3:], values[3:]])


def place_matrices(motion: list[Pose]) -> torch.Tensor:
    """For each frame, from the picture's coordinates (-1..1) to the glyph's, `[frames, 2, 3]`."""
    rows = []
    for pose in motion:
        scale = 1 / (WIDTH * pose.size)
        cos, sin = scale * np.cos(pose.turn), scale * np.sin(pose.turn)
        right, down = 2 * pose.right, 2 * pose.down
        rows.append([[cos, sin, -cos * right - sin * down], [-sin, cos, sin * right - cos * down]])
    return torch.tensor(np.array(rows), dtype=torch.float32)


def draw_layer(picture: torch.Tensor, motion: list[Pose], size: int) -> torch.Tensor:
    """The moving subject alone, `[frames, 4, size, size]` in 0..1, colours multiplied by alpha."""
    side = size * OVERSAMPLING
    count = len(motion)
    grid = functional.affine_grid(place_matrices(motion), [count, 4, side, side], align_corners=False)
    drawn = functional.grid_sample(picture.expand(count, -1, -1, -1), grid, align_corners=False)
    drawn = functional.avg_pool2d(drawn, OVERSAMPLING)
    return drawn * torch.tensor([pose.alpha for pose in motion]).view(-1, 1, 1, 1)


class ClipMaker:
    """Every subject in every motion, drawn once and kept in a file that all training processes map into memory."""

    def __init__(self, work: Path, size: int = SIZE, frames: int = FRAMES):
        if not FONT.is_file():
            raise SystemExit(f"{FONT} is missing; install Debian's package fonts-noto-color-emoji.")
        self.subjects, self.size, self.frames = load_things(), size, frames
        shape = (len(self.subjects), len(MOTIONS), frames, 4, size, size)
        path = work / f"clips-{'-'.join(map(str, shape))}.npy"
        if not path.is_file():
            self._draw_all(path, shape)
        self.layers = np.load(path, mmap_mode="r")
        drawn = np.stack([draw_background(background, size) for background in BACKGROUNDS])
        self.backgrounds = torch.from_numpy(drawn).permute(0, 3, 1, 2).contiguous()

    def _draw_all(self, path: Path, shape: tuple[int, ...]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        font = ImageFont.truetype(FONT, STRIKE)
        motions = [poses(motion, self.frames) for motion in MOTIONS]
        layers = np.zeros(shape, np.uint8)
        for row, subject in enumerate(self.subjects):
            picture = glyph(subject, font)
            for column, motion in enumerate(motions):
                layers[row, column] = (draw_layer(picture, motion, self.size) * 255).round().byte().numpy()
        partial = path.with_suffix(f".{id(self)}.partial.npy")
        np.save(partial, layers)
        partial.replace(path)

    def draw(self, subjects, motions, backgrounds) -> torch.Tensor:
        """Clips of these indices, `[count, 3, frames, size, size]` in -1..1."""
        layers = torch.from_numpy(self.layers[np.asarray(subjects), np.asarray(motions)])
        behind = self.backgrounds[torch.as_tensor(np.asarray(backgrounds))][:, None]
        clips = layers[:, :, :3] + (1 - layers[:, :, 3:] / 255) * behind
        return (clips / 127.5 - 1).transpose(1, 2).contiguous()
