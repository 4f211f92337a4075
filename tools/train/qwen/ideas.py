"""Short ideas as people type them, and what is known of each: the thing, its words, a motion, a background."""

import re
from dataclasses import dataclass, replace

import numpy as np
from train.captions import COLOR_WORDS, SCENE_PHRASES
from train.qwen.everyday import COUNTS, DETERMINERS, OWNERS, PhraseWriter, article, plural, wants_article
from train.qwen.things import COLOR_NAMES, PLURAL, SCENE_NAMES, Thing, load_things, with_article
from train.qwen.words import ADJECTIVES, listed
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
    *("photo of ", "picture of ", "image of ", "can you draw ", "i want to see ", "generate an image of ", "please "),
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
# So often an idea is the name of a thing and nothing else, so often a word that nobody knows, or is about anything.
BARE_SHARE, BARE_WORD_SHARE, OPEN_SHARE = 0.15, 0.1, 0.4
CAPITAL_SHARE, CAPITALS_SHARE = 0.15, 0.02
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
    """`text` is typed. `noun`: what the prompt calls it, with what was said of it; `whole`: it has its article, if it
    wants one. `acts`: it says what the thing does, though not in a motion of the captions. `behind`: the background's
    words once they are chosen."""

    text: str
    noun: str
    whole: bool
    thing: Thing | None = None
    motion: str | None = None
    background: Given | None = None
    clip: bool = False
    color: str | None = None
    behind: str | None = None
    acts: bool = False


def names_of(thing: Thing) -> tuple[str, ...]:
    return (thing.name, *(name for name in thing.subject.names[1:] if name not in NOT_NAMES))


def full_name(thing: Thing, name: str) -> str:
    """The Unicode name where it has the user's word in it ("apple": "red apple"), or else that word."""
    return thing.name if re.search(rf"\b{re.escape(name)}\b", thing.name) else name


class IdeaWriter:
    """Draws ideas at random."""

    def __init__(self, random: np.random.Generator, held_out: bool = False):
        """`held_out`: words that the models do not know are of those that training never shows."""
        self.random = random
        self.things = load_things()
        self.moving = [thing for thing in self.things if thing.in_clips]
        self.motions = {motion: phrases(motion) for motion in MOTIONS}
        names = tuple(name for thing in self.things for name in names_of(thing))
        self.phrases = PhraseWriter(random, names, held_out)

    def pick(self, choices):
        return choices[self.random.integers(len(choices))]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def draw(self, clip: bool) -> Idea:
        """An idea; one for a clip more often names a motion, and a thing that the video model has."""
        return self.draw_open(clip) if self.chance(BARE_WORD_SHARE + OPEN_SHARE) else self.draw_known(clip)

    def draw_open(self, clip: bool) -> Idea:
        """About anything at all: its words are to be kept as they are."""
        if self.chance(BARE_WORD_SHARE / (BARE_WORD_SHARE + OPEN_SHARE)):
            word = self.phrases.words.word()
            said = f"{article(word)} {word}" if wants_article(word) else word
            return self._with_capitals(Idea(word, said, True))
        phrase = self.phrases.phrase()
        return self._with_capitals(self._around(clip, phrase.typed, Idea("", phrase.said, True, acts=phrase.acts)))

    def draw_known(self, clip: bool) -> Idea:
        """About a thing that the models know."""
        if self.chance(BARE_SHARE / (1 - BARE_WORD_SHARE - OPEN_SHARE)):
            thing = self.pick(self.moving) if clip else self.pick(self.things)
            name = self.pick(names_of(thing))
            text = name.capitalize() if self.chance(CAPITAL_SHARE) else name
            return Idea(text, full_name(thing, name), False, thing)
        typed, idea = self._subject(clip)
        idea = self._around(clip, typed, idea)
        return replace(idea, text=idea.text[0].upper() + idea.text[1:]) if self.chance(CAPITAL_SHARE) else idea

    def _around(self, clip: bool, said: str, idea: Idea) -> Idea:
        """The idea with a motion, a background, an opening and an ending, or some of them."""
        moves = not idea.acts and self.chance(0.35 if clip else 0.06)
        motion = self._motion(idea.thing, clip) if moves else None
        background = self._background() if self.chance(0.35) else None
        if background and idea.color == background[1].name:
            background = None
        text, asks = said, False
        if background and motion and self.chance(0.5):
            text += background[0] + " " + motion
        else:
            text += (" " + motion if motion else "") + (background[0] if background else "")
        if background and background[2] and self.chance(0.15):
            text = f"{background[2]} background, {said}" + (" " + motion if motion else "")
        if self.chance(0.15):
            text = self.pick(OPENINGS) + text
        elif self.chance(0.08):
            text, asks = self.pick(CLIP_OPENINGS) + text, True
        if self.chance(0.08):
            text += self.pick(ENDINGS)
        return replace(idea, text=text, motion=motion, background=background[1] if background else None, clip=asks)

    def _with_capitals(self, idea: Idea) -> Idea:
        """Sometimes with a capital at the beginning, or in capitals: words that nobody knows are kept so."""
        own = idea.noun.removeprefix("a ").removeprefix("an ")
        before_own = idea.noun.removesuffix(own)
        if self.chance(CAPITALS_SHARE) and idea.text.endswith(own):
            return replace(idea, text=idea.text.removesuffix(own) + own.upper(), noun=before_own + own.upper())
        if not self.chance(CAPITAL_SHARE):
            return idea
        text = idea.text[0].upper() + idea.text[1:]
        # A word that everybody knows, or an opening, is written small; any other as it was typed.
        if idea.text.split()[0] in (*ADJECTIVES, *DETERMINERS) or not idea.text.startswith(own):
            return replace(idea, text=text)
        return replace(idea, text=text, noun=before_own + own[0].upper() + own[1:])

    def _subject(self, clip: bool) -> tuple[str, Idea]:
        """What is typed of a known thing, and the idea so far."""
        thing = self.pick(self.moving) if clip and self.chance(0.7) else self.pick(self.things)
        name = self.pick(names_of(thing)) if self.chance(0.6) else thing.name
        if self.chance(0.05):
            other = self.pick(names_of(self.pick(self.things)))
            both = f"{name} and {with_article(other)}"
            return self._typed(both), Idea("", both, False)
        if self.chance(0.06) and name.split()[-1] not in PLURAL and not name[0].isdigit():
            return self._several(thing, name)
        if self.chance(0.12) and not set(name.split()) & set(COLOR_NAMES):
            color = self.pick(COLOR_NAMES)
            noun = f"{self._adjective()} {color} {name}" if self.chance(0.3) else f"{color} {name}"
            return self._typed(noun), Idea("", noun, False, thing, color=color)
        noun = full_name(thing, name)
        if self.chance(0.15):
            word = self._adjective()
            if self.chance(0.2):
                word += " " + self.pick(ADJECTIVES)
            return self._typed(f"{word} {name}"), Idea("", f"{word} {name}", False, thing)
        own = next((word for word in noun.split() if word in COLOR_NAMES), None)
        typed = self._typed(name)
        return typed.capitalize() if self.chance(0.05) else typed, Idea("", noun, False, thing, color=own)

    def _several(self, thing: Thing, name: str) -> tuple[str, Idea]:
        """ "two dogs", "my small dogs", "dogs"."""
        before = self.pick((*COUNTS, *OWNERS[:6], "")) if self.chance(0.8) else ""
        words = [before, self._adjective() if self.chance(0.2) else "", plural(name)]
        noun = " ".join(word for word in words if word)
        return noun, Idea("", noun, True, thing)

    def _adjective(self) -> str:
        return self.phrases.words.word() if self.chance(0.15) else self.pick(ADJECTIVES)

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
            words = f" in the {self.phrases.words.name()}"
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
