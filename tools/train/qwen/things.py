"""What the small picture and video models know, and what suits each thing: backgrounds that it shows on, a motion."""

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from train.pictures import COLORS, SCENES, draw_subjects
from train.qwen.words import listed
from train.subjects import Subject, load_subjects, read_list
from train.wan.motions import MOTIONS

# The scene that a thing belongs to, by words of its names; others have none of their own.
SCENE_WORDS: dict[str, str] = {
    "night sky": "rocket saucer planet star moon owl ghost sparkles robot",
    "sunset": "palm castle locomotive mountain volcano airplane eagle sun guitar giraffe lion elephant",
    "meadow": "dog horse cow ewe rabbit chicken chick butterfly honeybee beetle sunflower blossom tulip tree rose"
    " mushroom unicorn pig house bicycle snail fox bouquet",
    "sea": "whale dolphin fish shark octopus sailboat ship anchor turtle island wave",
    "desert": "cactus snake automobile truck",
    "snow": "penguin snowman snowflake bear wolf evergreen wrapped",
}
# The motion that suits a thing, by words of its names; all others get one by their number.
MOTION_WORDS: dict[str, str] = {
    "moves up": "rocket balloon butterfly airplane lollipop",
    "moves down": "leaf apple snowflake egg",
    "moves right": "automobile bus truck locomotive bicycle horse turtle honeybee fox bird",
    "moves left": "fish shark whale dolphin sailboat ship saucer duck dog wolf snail",
    "bounces": "ball basketball rabbit frog penguin kangaroo heart tomato unicorn",
    "spins": "star planet globe pizza doughnut cookie hat gem",
    "grows": "tree sunflower mushroom cactus flower tulip rose sun fire",
    "shrinks": "snowman cream",
    "fades in": "ghost moon face robot castle",
    "still": "house mountain crown laptop book tree umbrella",
}
# How a motion is said of it, where "moves …" is not how one would say it.
SAID: dict[str, str] = {
    "still": "stands still",
    "rocket/moves up": "flies up",
    "airplane/moves up": "takes off",
    "balloon/moves up": "rises",
    "butterfly/moves up": "flies up",
    "apple/moves down": "falls down",
    "leaf/moves down": "falls down",
    "automobile/moves right": "drives to the right",
    "bus/moves right": "drives to the right",
    "fish/moves left": "swims left",
    "saucer/moves left": "flies left",
}
PLURAL = set(
    listed(
        "grapes cherries berries fries blueberries sparkles eyes notes hands hearts fingers biceps bananas balloons"
        " mushrooms people clothes"
    )
)
MASS = ("bread", "fire", "corn")
BRIGHT = ("yellow", "light green", "light blue", "pink", "orange", "teal", "purple", "white")
CONTRAST = 120.0


@dataclass(frozen=True)
class Thing:
    """One emoji by what a prompt may call it. `colors`: backgrounds that it stands out from, the best first."""

    subject: Subject
    in_clips: bool
    scene: str | None
    colors: tuple[str, ...]
    motion: str

    @property
    def name(self) -> str:
        return self.subject.names[0]


def _words_of(table: dict[str, str], subject: Subject) -> str | None:
    words = set(subject.names[0].split())
    return next((key for key, listed in table.items() if words & set(listed.split())), None)


def said_motion(name: str, motion: str) -> str:
    """ "flies up" of a rocket that moves up, "moves up" of what has no verb of its own."""
    for word in name.split():
        if f"{word}/{motion}" in SAID:
            return SAID[f"{word}/{motion}"]
    return SAID.get(motion, motion)


def _contrasting(glyph: np.ndarray, index: int) -> tuple[str, ...]:
    """Colours that differ from the emoji's mean colour; bright ones first, in an order of the emoji's own."""
    weight = glyph[..., 3].sum()
    mean = (glyph[..., :3] * glyph[..., 3:]).sum((0, 1)) / weight * 255
    distances = {name: float(np.linalg.norm(mean - np.array(color))) for name, color in COLORS.items()}
    bright = [name for name in BRIGHT if distances[name] > CONTRAST]
    turn = index % max(1, len(bright))
    rest = [name for name in distances if distances[name] > CONTRAST and name not in bright]
    return (*bright[turn:], *bright[:turn], *rest)


@cache
def load_things() -> tuple[Thing, ...]:
    """The 232 things that the picture model knows well; `in_clips` says which of them move in the video model, too."""
    movable = {line.removesuffix("\ufe0f") for line in read_list("wan/things.txt")}
    subjects = [subject for subject in load_subjects() if subject.kind != "other" or subject.character in movable]
    glyphs = draw_subjects(subjects, 64)
    return tuple(
        Thing(
            subject,
            subject.character in movable,
            _words_of(SCENE_WORDS, subject),
            _contrasting(glyph, subject.index),
            _words_of(MOTION_WORDS, subject) or MOTIONS[1 + subject.index % (len(MOTIONS) - 1)],
        )
        for subject, glyph in zip(subjects, glyphs, strict=True)
    )


def with_article(name: str) -> str:
    """ "an owl", "grapes", "fire"."""
    is_plural = name.split()[-1] in PLURAL and not re.search(r" (with|of) ", name)
    if is_plural or name in MASS or name[0].isdigit():
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


SCENE_NAMES = tuple(SCENES)
COLOR_NAMES = tuple(COLORS)
