"""Short ideas as people type them, and what is known of each: the thing, its words, a motion, a background."""

import re
from dataclasses import dataclass

import numpy as np
from train.captions import COLOR_WORDS, SCENE_PHRASES
from train.qwen.things import COLOR_NAMES, SCENE_NAMES, Thing, load_things, with_article
from train.qwen.words import ADJECTIVES, listed, other_names, pseudo_word, unknown_name, unknown_phrase
from train.wan.captions import phrases
from train.wan.motions import MOTIONS

# Names of emoji that say something else where people use them.
NOT_NAMES = set(
    listed(
        "black growing beating happy ask please female break broken see floor resort sea personal idea delivery"
        " steam pretty wise spots 100 hundred v wicked joke adore crush hearts innocent relaxed thinking hugging yum"
        " sob blush satisfied halo orange doubt shrug luck notes king queen garden maze birthday password earth rays"
        " africa europe"
    )
)
OPENINGS = (
    *("a picture of ", "a drawing of ", "an image of ", "draw ", "paint ", "make ", "show me ", "i want ", "create "),
    *("please draw ", "a photo of ", "give me ", "i would like ", "something with ", "generate ", "let us see "),
)
CLIP_OPENINGS = ("a video of ", "a clip of ", "animate ", "make a video of ", "a short video of ", "a short clip: ")
ENDINGS = (" please", "!", ".", ", please", " for me", " thanks")
ON_COLOR = (
    *(" on {}", " on a {} background", ", {} background", " in front of a {} background", " against {}", ", {}"),
    *(" with a {} background", " before a {} background", " on {} background", " on a {} wall"),
)
# What people say of a scene besides the captions' own words.
SCENE_SAYINGS: dict[str, tuple[str, ...]] = {
    "night sky": (" under the stars", " in space", " in the dark", " at midnight", " in the moonlight"),
    "sunset": (" in the evening", " at dusk", " at dawn", " in the evening light"),
    "meadow": (" on the grass", " in the forest", " in the garden", " in a field", " in spring", " in the park"),
    "sea": (" on the beach", " in the water", " at the coast", " on the lake", " on the ocean"),
    "desert": (" in the sand", " on a dune", " in the heat"),
    "snow": (" in winter", " on the ice", " on a snowy day", " in the cold"),
}
# So often an idea is a name and nothing else.
BARE_SHARE = 0.18
ACTIONS = (
    "dancing",
    "sleeping",
    "eating",
    "singing",
    "running",
    "sitting",
    "looking at you",
    "laughing",
    "dances",
    "sleeps",
)


@dataclass(frozen=True)
class Given:
    """A background that an idea names. `words` as they go into the prompt; `name` of the colour or scene meant."""

    kind: str
    name: str
    words: str


@dataclass(frozen=True)
class Idea:
    """`text` is typed. `noun`: what the prompt calls it, with what was said of it, without an article. `behind`: the
    background's words once they are chosen."""

    text: str
    noun: str
    plain: bool
    thing: Thing | None = None
    motion: str | None = None
    background: Given | None = None
    clip: bool = False
    color: str | None = None
    behind: str | None = None


def names_of(thing: Thing) -> tuple[str, ...]:
    return (thing.name, *(name for name in thing.subject.names[1:] if name not in NOT_NAMES))


def full_name(thing: Thing, name: str) -> str:
    """The Unicode name where it has the user's word in it ("apple": "red apple"), or else that word."""
    return thing.name if re.search(rf"\b{re.escape(name)}\b", thing.name) else name


class IdeaWriter:
    """Draws ideas at random."""

    def __init__(self, random: np.random.Generator):
        self.random = random
        self.things = load_things()
        self.moving = [thing for thing in self.things if thing.in_clips]
        self.motions = {motion: phrases(motion) for motion in MOTIONS}

    def pick(self, choices):
        return choices[self.random.integers(len(choices))]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def draw(self, clip: bool) -> Idea:
        """An idea; one for a clip more often names a motion, and a thing that the video model has."""
        if self.chance(BARE_SHARE):
            thing = self.pick(self.moving) if clip else self.pick(self.things)
            name = self.pick(names_of(thing))
            return Idea(name, full_name(thing, name), True, thing)
        noun, said, thing, plain, color = self._subject(clip)
        motion = self._motion(thing, clip) if self.chance(0.35 if clip else 0.06) else None
        background = self._background() if self.chance(0.35) else None
        if background and color == background[1].name:
            background = None
        text, asks = said, False
        if background and motion and self.chance(0.5):
            text += background[0] + " " + motion
        else:
            text += (" " + motion if motion else "") + (background[0] if background else "")
        if background and background[2] and self.chance(0.15):
            text = f"{background[2]} background, {said}" + (" " + motion if motion else "")
        if self.chance(0.2):
            text = self.pick(OPENINGS) + text
        elif self.chance(0.1):
            text, asks = self.pick(CLIP_OPENINGS) + text, True
        if self.chance(0.08):
            text += self.pick(ENDINGS)
        # Not a word that nobody knows: its small letters could only be guessed.
        if self.chance(0.1) and (thing or text.startswith(("a ", "an ", "the "))):
            text = text[0].upper() + text[1:]
        return Idea(text, noun, plain, thing, motion, background[1] if background else None, asks, color)

    def _subject(self, clip: bool):
        """The noun for the prompt, the words that are typed, the thing, whether the noun is bare, a colour in it."""
        if self.chance(0.14):
            noun = unknown_name(self.random)
            return noun, self._typed(noun), None, True, None
        if self.chance(0.09):
            phrase = unknown_phrase(self.random)
            return phrase, self._typed(phrase), None, False, None
        thing = self.pick(self.moving) if clip and self.chance(0.7) else self.pick(self.things)
        name = self.pick(names_of(thing)) if self.chance(0.6) else thing.name
        if self.chance(0.03):
            other = self.pick(names_of(self.pick(self.things)))
            both = f"{name} and {with_article(other)}"
            return both, self._typed(both), None, False, None
        if self.chance(0.1) and not set(name.split()) & set(COLOR_NAMES):
            color = self.pick(COLOR_NAMES)
            return f"{color} {name}", self._typed(f"{color} {name}"), thing, False, color
        noun = full_name(thing, name)
        if self.chance(0.12):
            word = pseudo_word(self.random) if self.chance(0.2) else self.pick(ADJECTIVES)
            if self.chance(0.2):
                word += " " + self.pick(ADJECTIVES)
            return f"{word} {noun}", self._typed(f"{word} {name}"), thing, False, None
        own = next((word for word in noun.split() if word in COLOR_NAMES), None)
        typed = self._typed(name)
        return noun, typed.capitalize() if self.chance(0.05) else typed, thing, True, own

    def _typed(self, noun: str) -> str:
        return with_article(noun) if self.chance(0.5) else ("the " if self.chance(0.05) else "") + noun

    def _motion(self, thing: Thing | None, clip: bool) -> str:
        if self.chance(0.12):
            return self.pick(ACTIONS)
        motion = self.pick(MOTIONS)
        return self.pick(self.motions[motion]) if self.chance(0.6) or motion == "still" else motion

    def _background(self) -> tuple[str, Given, str]:
        """What is typed, what it means, and the colour's word where it is one."""
        if self.chance(0.6):
            color = self.pick(COLOR_NAMES)
            word = self.pick(COLOR_WORDS.get(color, (color,)))
            return self._on(word), Given("color", color, word), word
        if self.chance(0.08):
            word = pseudo_word(self.random)
            words = " in the " + (word if self.chance(0.5) else self.pick(other_names()))
            return words, Given("place", "", words), ""
        scene = self.pick(SCENE_NAMES)
        if self.chance(0.35):
            words = self.pick(SCENE_SAYINGS[scene])
            return words, Given("place", scene, words), ""
        words = self.pick(SCENE_PHRASES[scene])
        return words, Given("scene", scene, words), ""

    def _on(self, word: str) -> str:
        return re.sub(r"\ba (?=[aeiou])", "an ", self.pick(ON_COLOR).format(word))

    def color_idea(self) -> Given:
        color = self.pick(COLOR_NAMES)
        return Given("color", color, self.pick(COLOR_WORDS.get(color, (color,))))

    def scene_idea(self) -> Given:
        scene = self.pick(SCENE_NAMES)
        return Given("scene", scene, self.pick(SCENE_PHRASES[scene]))
