"""Pictures of the training set: an emoji's bitmap from Google's Noto font, on a plain or gradient background."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from train.subjects import Subject

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
# The only size that the font has bitmaps for, and the size of its bitmaps.
STRIKE, GLYPH_WIDTH, GLYPH_HEIGHT = 109, 136, 128
# The subject's share of the picture's width: two cells of the latents stay free on either side at 128 pixels.
SUBJECT_SHARE = 0.8125
# Latents have an eighth of the picture's side; a shift by whole cells is the same shift of the latents.
CELL = 8

Color = tuple[int, int, int]

COLORS: dict[str, Color] = {
    "white": (255, 255, 255),
    "black": (18, 18, 22),
    "gray": (150, 150, 155),
    "red": (214, 40, 40),
    "orange": (245, 140, 40),
    "yellow": (250, 215, 70),
    "green": (50, 150, 70),
    "light green": (175, 228, 155),
    "light blue": (165, 212, 245),
    "blue": (45, 105, 215),
    "dark blue": (20, 32, 90),
    "purple": (125, 65, 175),
    "pink": (250, 175, 200),
    "brown": (120, 78, 48),
    "teal": (25, 150, 150),
}
# Backgrounds with a name of their own: colour at the top and at the bottom.
SCENES: dict[str, tuple[Color, Color]] = {
    "night sky": ((8, 12, 40), (62, 60, 132)),
    "sunset": ((120, 60, 130), (252, 160, 80)),
    "meadow": ((160, 215, 245), (90, 175, 70)),
    "sea": ((150, 215, 245), (20, 90, 165)),
    "desert": ((252, 232, 185), (220, 160, 90)),
    "snow": ((200, 222, 245), (255, 255, 255)),
}


@dataclass(frozen=True)
class Background:
    """A colour (plain or as a gradient) or a scene, by name."""

    name: str
    gradient: bool

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Colours of the top and bottom row, 0..255."""
        if self.name in SCENES:
            top, bottom = SCENES[self.name]
            return np.array(top, np.float32), np.array(bottom, np.float32)
        color = np.array(COLORS[self.name], np.float32)
        if not self.gradient:
            return color, color
        return color + (255 - color) * 0.3, color * 0.88


BACKGROUNDS: tuple[Background, ...] = (
    *(Background(name, False) for name in COLORS),
    *(Background(name, True) for name in COLORS),
    *(Background(name, True) for name in SCENES),
)


def draw_background(background: Background, size: int) -> np.ndarray:
    """`[size, size, 3]` float32, 0..255."""
    top, bottom = background.ends
    position = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    rows = top * (1 - position) + bottom * position
    return np.broadcast_to(rows[:, None, :], (size, size, 3)).copy()


def draw_subject(subject: Subject, size: int, font: ImageFont.FreeTypeFont) -> np.ndarray:
    """The emoji alone, `[height, width, 4]` float32 in 0..1, scaled for a picture of `size` pixels."""
    glyph = Image.new("RGBA", (GLYPH_WIDTH, GLYPH_HEIGHT))
    left, top, right, bottom = font.getbbox(subject.character)
    place = ((GLYPH_WIDTH - right - left) // 2, (GLYPH_HEIGHT - bottom - top) // 2)
    ImageDraw.Draw(glyph).text(place, subject.character, font=font, embedded_color=True)
    width = round(size * SUBJECT_SHARE)
    scaled = glyph.resize((width, round(width * GLYPH_HEIGHT / GLYPH_WIDTH)), Image.Resampling.LANCZOS)
    return np.asarray(scaled, np.float32) / 255


def draw_subjects(subjects: list[Subject], size: int) -> np.ndarray:
    """All emoji, `[count, height, width, 4]`."""
    if not FONT.is_file():
        raise SystemExit(f"{FONT} is missing; install Debian's package fonts-noto-color-emoji.")
    font = ImageFont.truetype(FONT, STRIKE)
    return np.stack([draw_subject(subject, size, font) for subject in subjects])


def compose(glyph: np.ndarray, background: np.ndarray, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """Lays the emoji on the background's middle, moved by (down, right) pixels; `[size, size, 3]` in 0..255."""
    picture = background.copy()
    height, width = glyph.shape[:2]
    size = picture.shape[0]
    row, column = (size - height) // 2 + shift[0], (size - width) // 2 + shift[1]
    area = picture[row : row + height, column : column + width]
    alpha = glyph[..., 3:]
    area[...] = area * (1 - alpha) + glyph[..., :3] * 255 * alpha
    return picture
