"""Words that the picture models do not know: names of other emoji, and words that mean nothing. They are to be kept."""

from functools import cache

import numpy as np
from train.subjects import load_subjects


def listed(text: str) -> list[str]:
    """Words between blanks."""
    return text.split()


ONSETS = listed("b c d f g h j k l m n p r s t v w z bl br ch cl cr dr fl fr gl gr pl pr sh sl sn sp st th tr")
VOWELS = listed("a e i o u ai ea ee oa oo ou")
CODAS = listed("b ck d f g l ll m n nd ng nk p r rd rn s sh st t tch x") + [""] * 8
ENDINGS = ["", "", "", "er", "ing", "y", "le", "ish", "ion"]
ADJECTIVES = listed(
    "cute big small old young shiny happy little beautiful tiny huge sleepy golden wooden fluffy funny sad magic round"
    " bright silver broken angry friendly strange soft wet dirty clean lonely wild hairy glass paper plastic ancient"
    " modern giant fresh frozen burning sweet colourful striped"
)


@cache
def other_names() -> tuple[str, ...]:
    """Names and keywords of the emoji that the models hardly know, of one to three words."""
    names = {name for subject in load_subjects() if subject.kind == "other" for name in subject.names}
    return tuple(sorted(name for name in names if len(name.split()) <= 3 and name.isascii() and name.islower()))


def pseudo_word(random: np.random.Generator) -> str:
    """A word that can be spoken and means nothing: "flound", "greebish"."""
    parts = [
        ONSETS[random.integers(len(ONSETS))] + VOWELS[random.integers(len(VOWELS))] + CODAS[random.integers(len(CODAS))]
        for _ in range(random.integers(1, 3))
    ]
    return "".join(parts) + ENDINGS[random.integers(len(ENDINGS))]


def unknown_name(random: np.random.Generator) -> str:
    """A thing that the models do not know: half of them real words."""
    if random.random() < 0.5:
        names = other_names()
        return names[random.integers(len(names))]
    return " ".join(pseudo_word(random) for _ in range(random.integers(1, 3)))


def unknown_phrase(random: np.random.Generator) -> str:
    """ "a flound with two greebish of the old fork": an idea of several things, to be kept word for word."""
    links = ("with a", "and a", "of the", "under a", "in the", "on a", "near the", "behind the", "riding a", "eating")
    parts = [unknown_name(random)]
    for _ in range(random.integers(1, 4)):
        word = ADJECTIVES[random.integers(len(ADJECTIVES))] + " " if random.random() < 0.3 else ""
        parts.append(f"{links[random.integers(len(links))]} {word}{unknown_name(random)}")
    return " ".join(parts)
