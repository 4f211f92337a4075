"""Whether a prompt is in the language that the small models were trained on, and keeps what the idea says."""

import re
from collections import Counter
from functools import cache

from train.captions import COLOR_PHRASES, COLOR_WORDS, GRADIENT_PHRASES, PLAIN_PHRASES, SCENE_PHRASES
from train.captions import OPENINGS as CAPTION_OPENINGS
from train.pictures import COLORS
from train.qwen.everyday import DOINGS
from train.qwen.ideas import ACTIONS, CLIP_OPENINGS, ENDINGS, OPENINGS, Idea
from train.qwen.things import load_things
from train.qwen.words import listed
from train.wan.captions import WORDS, phrases
from train.wan.motions import MOTIONS

ARTICLES = ("a", "an")
# Words that say how things stand together, which a prompt may say otherwise: "against blue" as "on a blue background".
SMALL_WORDS = listed("a an the in on of at with by before against front wall background and plain")


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


def words_of(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def without_end(text: str, ends: tuple[str, ...]) -> str | None:
    return next((text.removesuffix(end) for end in ends if text.endswith(end)), None)


def is_accepted(prompt: str, idea: str, clip: bool) -> bool:
    """A known thing, or the user's own words; of a clip a motion, unless the idea says what happens; a background. In
    the captions' order."""
    prompt = prompt.lower()
    opening = next((text for text in CAPTION_OPENINGS if prompt.startswith(text)), "")
    rest = without_end(prompt.removeprefix(opening), backgrounds())
    if rest is None:
        return False
    words = set(words_of(idea))
    if clip:
        moved = without_end(rest, tuple(" " + motion for motion in motions()))
        if moved is None and not _acts(idea.lower(), words) and not _moves_within(rest):
            return False
        rest = rest if moved is None else moved
    rest = re.sub(r"^(a|an) ", "", rest)
    own_words = all(word in words or word in ARTICLES for word in words_of(rest))
    return rest in names() or own_words or any(_is_full_name(name, rest, words) for name in names())


def keeps_words(prompt: str, idea: str) -> bool:
    """Whether every word of the idea is in the prompt as it was typed, capitals apart; not those that ask for it."""
    text = idea.lower()
    opening = next((words for words in (*CLIP_OPENINGS, *OPENINGS) if text.startswith(words)), "")
    ending = next((words for words in ENDINGS if text.endswith(words)), "")
    wanted = words_of(text.removeprefix(opening).removesuffix(ending))
    return not Counter(word for word in wanted if word not in SMALL_WORDS) - Counter(words_of(prompt))


def _acts(idea: str, words: set[str]) -> bool:
    before_names = any(word in words for _, before in WORDS.values() for word in before)
    return before_names or any(f" {doing}" in idea for doing in (*ACTIONS, *DOINGS))


def _moves_within(text: str) -> bool:
    return any(f" {motion} " in f"{text} " for motion in motions())


def _is_full_name(name: str, rest: str, words: set[str]) -> bool:
    """ "cute red apple" of "cute apple": words of the user's before a known name."""
    before = rest.removesuffix(name)
    return before != rest and all(word in words for word in before.split())


def keeps(prompt: str, idea: Idea) -> dict[str, bool]:
    """What the idea names and whether it is in the prompt; what it does not name is left out."""
    noun = re.sub(r"^(a|an) ", "", idea.noun.lower())
    result = {"thing": f" {noun.replace(',', ' ')} " in f" {prompt.lower().replace(',', ' ')} "}
    if idea.color is not None:
        result["colour"] = idea.color in prompt
    if idea.background is not None:
        result["background"] = idea.background.words.strip(" ,") in prompt
    if idea.motion is not None:
        result["motion"] = idea.motion in prompt
    return result
