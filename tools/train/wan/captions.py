"""What a caption of a clip says: the subject, mostly its motion and mostly its background. What is never trained."""

import re
from dataclasses import dataclass

import numpy as np

from train.captions import CaptionWriter, explicit_caption, with_article
from train.captions import caption_words as picture_words
from train.pictures import Background
from train.subjects import Subject
from train.wan.motions import MOTIONS

# Per motion: what follows the subject, and what stands before its name.
WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "still": (
        ("stands still", "standing still", "stays still", "not moving", "is still", "does not move", "resting"),
        ("still", "motionless"),
    ),
    "grows": (
        ("grows", "growing", "gets bigger", "getting bigger", "becomes larger", "grows larger", "comes closer"),
        ("growing",),
    ),
    "shrinks": (
        ("shrinks", "shrinking", "gets smaller", "getting smaller", "becomes smaller", "goes away"),
        ("shrinking",),
    ),
    "spins": (
        ("spins", "spinning", "rotates", "rotating", "turns around", "turning around", "turns"),
        ("spinning", "rotating"),
    ),
    "bounces": (
        ("bounces", "bouncing", "jumps", "jumping", "hops", "hopping", "bounces up and down"),
        ("bouncing", "jumping"),
    ),
    "fades in": (
        ("fades in", "fading in", "appears", "appearing", "slowly appears", "becomes visible"),
        ("appearing",),
    ),
}
VERBS = (
    "moves",
    "moving",
    "goes",
    "going",
    "flies",
    "flying",
    "slides",
    "drives",
    "runs",
    "swims",
    "floats",
    "drifts",
    "rolls",
)
WAYS: dict[str, tuple[str, ...]] = {
    "left": ("left", "left", "to the left", "from right to left"),
    "right": ("right", "right", "to the right", "from left to right"),
    "up": ("up", "up", "upwards", "to the top"),
    "down": ("down", "down", "downwards", "to the bottom"),
}
OWN: dict[str, tuple[str, ...]] = {
    "moves left": (),
    "moves right": (),
    "moves up": ("rises", "rising", "takes off", "climbs", "lifts off"),
    "moves down": ("falls", "falling", "falls down", "drops", "sinks", "lands"),
}
# So often the plainest words: "moves left", "flies up".
PLAIN_SHARE = 0.4
BEFORE_NAME_SHARE = 0.12
NO_MOTION_SHARE = 0.08
BACKGROUND_FIRST_SHARE = 0.35


def held_out(subject: Subject, motion: int) -> bool:
    """Whether training never shows this subject in this motion; `evaluate.py` asks for some of these pairs."""
    return (3 * subject.index + motion) % len(MOTIONS) == 0


def allowed_motions(subject: Subject) -> list[int]:
    return [motion for motion in range(len(MOTIONS)) if not held_out(subject, motion)]


def phrases(motion: str) -> tuple[str, ...]:
    if motion in WORDS:
        return WORDS[motion][0]
    ways = WAYS[motion.removeprefix("moves ")]
    return tuple(f"{verb} {way}" for verb in VERBS for way in ways) + OWN[motion] * 6


@dataclass
class ClipCaptionWriter:
    """Draws captions at random."""

    random: np.random.Generator

    def __post_init__(self):
        self.still = CaptionWriter(self.random)
        self.phrases = {motion: phrases(motion) for motion in MOTIONS}

    def write(self, subject: Subject, motion: int, background: Background) -> tuple[str, bool, bool]:
        """A caption, whether it says the motion, and whether it says the background."""
        name, says_background = self.still.write(subject, background)
        if self.random.random() < NO_MOTION_SHARE:
            return name, False, says_background
        plain = MOTIONS[motion]
        before = WORDS.get(plain, ((), ()))[1]
        if before and self.random.random() < BEFORE_NAME_SHARE:
            word = before[self.random.integers(len(before))]
            (bare, behind), says_background = self._parts(subject, background)
            return with_article(f"{word} {bare}") + behind, True, says_background
        choices = self.phrases[plain]
        words = choices[self.random.integers(len(choices))]
        if self.random.random() < PLAIN_SHARE:
            words = "stands still" if plain == "still" else plain
        (bare, behind), says_background = self._parts(subject, background)
        if self.random.random() < 0.75:
            bare = with_article(bare)
        if behind and self.random.random() < BACKGROUND_FIRST_SHARE:
            return f"{bare}{behind}{',' if self.random.random() < 0.5 else ''} {words}", True, says_background
        return f"{bare} {words}{behind}", True, says_background

    def _parts(self, subject: Subject, background: Background) -> tuple[tuple[str, str], bool]:
        """The subject's name and the words for its background, and whether there are any."""
        name = (
            subject.names[0] if self.random.random() < 0.5 else subject.names[self.random.integers(len(subject.names))]
        )
        says_background = self.random.random() >= 0.12
        return (name, self.still.background(background) if says_background else ""), says_background


def plain_caption(subject: Subject, motion: int, background: Background) -> str:
    """As a person would ask: "a red apple moves left, light blue background"."""
    scene = explicit_caption(subject, background).removeprefix(with_article(subject.names[0]))
    words = "stands still" if MOTIONS[motion] == "still" else MOTIONS[motion]
    behind = scene if scene.startswith(",") else f", {background.name} background"
    return f"{with_article(subject.names[0])} {words}{behind}"


def caption_words(subjects: list[Subject]) -> list[str]:
    """Every word that a caption can have, for the tokenizer."""
    texts = [phrase for motion in MOTIONS for phrase in phrases(motion)]
    texts += [word for after, before in WORDS.values() for word in (*after, *before)]
    texts += [*MOTIONS, "clip video of the and is it with from to"]
    words = [word for text in texts for word in re.findall(r"[a-z]+|\d", text.lower())]
    return sorted(set(words + picture_words(subjects)))
