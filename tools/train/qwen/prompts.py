"""The fuller prompt of an idea, in the captions' language of the small models, as each preset colours it."""

import re
from dataclasses import dataclass, replace

import numpy as np
from train.captions import SCENE_PHRASES
from train.qwen.ideas import Given, Idea
from train.qwen.things import BRIGHT, COLOR_NAMES, said_motion, with_article

STYLES = ("cinematic", "photographic", "illustration", "product", "nature")
OPENINGS = {"cinematic": "an image of ", "photographic": "a picture of ", "illustration": "a drawing of "}
COLOR_PHRASES = {
    "plain": " on a {} background",
    "cinematic": ", {} gradient background",
    "photographic": " on a plain {} background",
    "illustration": " on a {} gradient",
    "product": " on a plain {} background",
    "nature": " on a {} background",
}
DARK = ("dark blue", "black", "purple", "teal", "brown")
NEUTRAL = ("white", "gray", "light blue", "black")
OUTDOORS = ("meadow", "sea", "desert", "snow")
OPEN_MOTIONS = ("moves right", "grows", "spins", "moves left", "bounces")


def on_color(style: str, word: str) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", COLOR_PHRASES[style].format(word))


@dataclass
class PromptWriter:
    """Draws what an idea leaves open."""

    random: np.random.Generator

    def pick(self, choices):
        return choices[self.random.integers(len(choices))]

    def first(self, choices):
        """The first choices more often, so that greedy generation has something to prefer."""
        return choices[min(self.random.geometric(0.55) - 1, len(choices) - 1)]

    def choose(self, idea: Idea, style: str, clip: bool) -> Idea:
        """The idea with all that it left open. `style` is a preset's name, or "plain" for none."""
        motion = idea.motion or (self._motion(idea) if clip and not idea.acts else None)
        return replace(idea, motion=motion, behind=idea.behind or self._behind(idea, style))

    def write(self, idea: Idea, style: str, clip: bool) -> str:
        return self.render(self.choose(idea, style, clip), style, clip)

    def render(self, idea: Idea, style: str, clip: bool) -> str:
        """The prompt of a chosen idea."""
        opening = "" if clip else OPENINGS.get(style, "")
        noun = idea.noun if idea.whole else with_article(idea.noun)
        result = opening + noun + (f" {idea.motion}" if idea.motion else "") + (idea.behind or "")
        return result if result != idea.text.lower() else self._otherwise(idea, result, clip)

    def _otherwise(self, idea: Idea, result: str, clip: bool) -> str:
        """An idea that is whole already is said in another way, so that there is a change."""
        if not clip:
            return "a picture of " + result
        if idea.background and idea.background.kind == "scene":
            return self._scene_otherwise(result, idea.background)
        return (
            result.replace(" on an ", " on a plain ")
            .replace(" on a ", " on a plain ", 1)
            .replace("plain plain", "plain")
        )

    def _scene_otherwise(self, result: str, given: Given) -> str:
        others = [words for words in SCENE_PHRASES[given.name] if words != given.words]
        return result.removesuffix(given.words) + others[0]

    def _motion(self, idea: Idea) -> str:
        if idea.thing is None:
            return self.first(OPEN_MOTIONS)
        return said_motion(idea.thing.name, idea.thing.motion)

    def _behind(self, idea: Idea, style: str) -> str:
        given = idea.background
        if given is None:
            return self._chosen(idea, style)
        if given.kind == "color":
            return on_color(style, given.words)
        if given.kind == "scene":
            return given.words
        return given.words + (
            SCENE_PHRASES[given.name][0] if given.name else f", {self._color(idea, BRIGHT)} background"
        )

    def _chosen(self, idea: Idea, style: str) -> str:
        """The background of an idea that names none."""
        scene = idea.thing.scene if idea.thing else None
        if style == "nature":
            outdoors = scene if scene in OUTDOORS else self.first(OUTDOORS)
            return SCENE_PHRASES[outdoors][-1]
        if style == "cinematic":
            if self.random.random() < 0.6:
                return self.first((" at sunset", " in the night sky"))
            return on_color(style, self._color(idea, DARK))
        if style == "product":
            return on_color(style, self._color(idea, NEUTRAL))
        if style == "plain" and scene and self.random.random() < 0.55:
            return SCENE_PHRASES[scene][0] if scene == "night sky" else SCENE_PHRASES[scene][-1]
        return on_color(style, self._color(idea, BRIGHT))

    def _color(self, idea: Idea, among: tuple[str, ...]) -> str:
        """One of these, if the thing stands out from it; in the thing's own order of colours."""
        if idea.color or idea.thing is None:
            order = [color for color in ("light blue", *among) if color != idea.color and color in among]
        else:
            order = [color for color in idea.thing.colors if color in among]
            if among is not BRIGHT:
                order.sort(key=among.index)
        return self.first(order or [color for color in COLOR_NAMES if color != idea.color])
