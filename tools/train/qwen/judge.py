"""Whether a prompt is in the language that the small models were trained on, and keeps what the idea says."""

import re
from functools import cache

from train.captions import COLOR_PHRASES, COLOR_WORDS, GRADIENT_PHRASES, PLAIN_PHRASES, SCENE_PHRASES
from train.captions import OPENINGS as CAPTION_OPENINGS
from train.pictures import COLORS
from train.qwen.ideas import ACTIONS, Idea
from train.qwen.things import load_things
from train.wan.captions import WORDS, phrases
from train.wan.motions import MOTIONS


@cache
def backgrounds() -> tuple[str, ...]:
    """All that captions say of backgrounds, the longest first."""
    words = [word for color in COLORS for word in COLOR_WORDS.get(color, (color,))]
    forms = (*COLOR_PHRASES, *PLAIN_PHRASES, *GRADIENT_PHRASES)
    colored = {re.sub(r"\ba (?=[aeiou])", "an ", form.format(word)) for form in forms for word in words}
    scenes = {phrase for group in SCENE_PHRASES.values() for phrase in group}
    return tuple(sorted(colored | scenes, key=len, reverse=True))


@cache
def motions() -> tuple[str, ...]:
    """All that captions say of motions."""
    return tuple(sorted({phrase for motion in MOTIONS for phrase in (motion, *phrases(motion))}, key=len, reverse=True))


@cache
def names() -> frozenset[str]:
    return frozenset(name for thing in load_things() for name in thing.subject.names)


def without_end(text: str, ends: tuple[str, ...]) -> str | None:
    return next((text.removesuffix(end) for end in ends if text.endswith(end)), None)


def is_accepted(prompt: str, idea: str, clip: bool) -> bool:
    """A known thing, or the user's own words; of a clip a motion; a background. In the captions' order."""
    opening = next((text for text in CAPTION_OPENINGS if prompt.startswith(text)), "")
    rest = without_end(prompt.removeprefix(opening), backgrounds())
    if rest is None:
        return False
    words = set(re.findall(r"[\w']+", idea.lower()))
    if clip:
        moved = without_end(rest, tuple(" " + motion for motion in motions()))
        own = any(word in words for words_before in WORDS.values() for word in words_before[1])
        if moved is None and not own and not any(action in idea for action in ACTIONS) and not _moves_within(rest):
            return False
        rest = rest if moved is None else moved
    rest = re.sub(r"^(a|an) ", "", rest)
    own_words = all(word in words or word in ("a", "an") for word in re.findall(r"[\w']+", rest))
    return rest in names() or own_words or any(_is_full_name(name, rest, words) for name in names())


def _moves_within(text: str) -> bool:
    return any(f" {motion} " in f"{text} " for motion in motions())


def _is_full_name(name: str, rest: str, words: set[str]) -> bool:
    """ "cute red apple" of "cute apple": words of the user's before a known name."""
    before = rest.removesuffix(name)
    return before != rest and all(word in words for word in before.split())


def keeps(prompt: str, idea: Idea) -> dict[str, bool]:
    """What the idea names and whether it is in the prompt; what it does not name is left out."""
    result = {"thing": f" {idea.noun} " in f" {prompt.replace(',', ' ')} "}
    if idea.color is not None:
        result["colour"] = idea.color in prompt
    if idea.background is not None:
        result["background"] = idea.background.words.strip(" ,") in prompt
    if idea.motion is not None:
        result["motion"] = idea.motion in prompt
    return result
