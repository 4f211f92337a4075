"""What a caption says: the subject's name and, mostly, its background. Which pairs of the two are never trained."""

import re
from dataclasses import dataclass

import numpy as np

from train.pictures import BACKGROUNDS, COLORS, SCENES, Background
from train.subjects import Subject

COLOR_WORDS: dict[str, tuple[str, ...]] = {
    "gray": ("gray", "grey"),
    "dark blue": ("dark blue", "navy blue"),
    "light blue": ("light blue", "sky blue"),
    "teal": ("teal", "turquoise"),
}
COLOR_PHRASES = (
    " on a {} background",
    " on a {} background",
    " on {}",
    ", {} background",
    " in front of a {} background",
)
PLAIN_PHRASES = (" on a plain {} background", ", plain {} background")
GRADIENT_PHRASES = (" on a {} gradient", ", {} gradient background")
SCENE_PHRASES: dict[str, tuple[str, ...]] = {
    "night sky": (", night sky", " in the night sky", " at night"),
    "sunset": (", sunset", " at sunset"),
    "meadow": (", meadow", " in a meadow", " on a meadow"),
    "sea": (", sea", " at sea", " by the sea"),
    "desert": (", desert", " in the desert"),
    "snow": (", snow", " in the snow"),
}
OPENINGS = ("a picture of ", "a drawing of ", "an image of ", "an emoji of ")

FULL_NAME_SHARE = 0.5
OPENING_SHARE = 0.12
ARTICLE_SHARE = 0.6
NO_BACKGROUND_SHARE = 0.15
EXPLICIT_STYLE_SHARE = 0.2


def held_out_colors(subject: Subject) -> tuple[str, str]:
    """The two background colours that training never shows with this subject, neither plain nor as a gradient."""
    names = list(COLORS)
    first = 7 * subject.index % len(names)
    return names[first], names[(first + 5) % len(names)]


def allowed_backgrounds(subject: Subject) -> list[int]:
    """Indices into `BACKGROUNDS` that training may show with this subject."""
    held_out = held_out_colors(subject)
    return [index for index, background in enumerate(BACKGROUNDS) if background.name not in held_out]


def with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def explicit_caption(subject: Subject, background: Background) -> str:
    """The caption that leaves nothing open: the full name, and the background with its kind."""
    if background.name in SCENES:
        return with_article(subject.names[0]) + SCENE_PHRASES[background.name][0]
    phrase = GRADIENT_PHRASES[0] if background.gradient else PLAIN_PHRASES[0]
    return with_article(subject.names[0]) + re.sub(r"\ba (?=[aeiou])", "an ", phrase.format(background.name))


@dataclass
class CaptionWriter:
    """Draws captions at random."""

    random: np.random.Generator

    def _pick(self, choices: tuple[str, ...]) -> str:
        return choices[self.random.integers(len(choices))]

    def _subject(self, subject: Subject) -> str:
        name = subject.names[0] if self.random.random() < FULL_NAME_SHARE else self._pick(subject.names)
        named = with_article(name) if self.random.random() < ARTICLE_SHARE else name
        return self._pick(OPENINGS) + named if self.random.random() < OPENING_SHARE else named

    def background(self, background: Background) -> str:
        if background.name in SCENES:
            return self._pick(SCENE_PHRASES[background.name])
        phrases = COLOR_PHRASES
        if self.random.random() < EXPLICIT_STYLE_SHARE:
            phrases = GRADIENT_PHRASES if background.gradient else PLAIN_PHRASES
        word = self._pick(COLOR_WORDS.get(background.name, (background.name,)))
        return re.sub(r"\ba (?=[aeiou])", "an ", self._pick(phrases).format(word))

    def write(self, subject: Subject, background: Background) -> tuple[str, bool]:
        """A caption, and whether it says what the background is."""
        says_background = self.random.random() >= NO_BACKGROUND_SHARE
        return self._subject(subject) + (self.background(background) if says_background else ""), says_background


def caption_words(subjects: list[Subject]) -> list[str]:
    """Every word that a caption can have, for the tokenizer."""
    texts = [name for subject in subjects for name in subject.names]
    texts += [*COLORS, *SCENES, *OPENINGS, "a an background"]
    for phrases in (COLOR_WORDS.values(), SCENE_PHRASES.values()):
        texts += [phrase for group in phrases for phrase in group]
    texts += [*COLOR_PHRASES, *PLAIN_PHRASES, *GRADIENT_PHRASES]
    return [word for text in texts for word in re.findall(r"[a-z]+|\d", text.lower())]
