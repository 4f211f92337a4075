"""Words that the picture models do not know, real, misspelt and made up. They are to be kept as they are typed."""

import zlib
from functools import cache
from pathlib import Path

import numpy as np
from train.subjects import load_subjects

EVALUATION = Path(__file__).with_name("evaluation_ideas.txt")
# Debian `wamerican-small`.
DICTIONARY = Path("/usr/share/dict/american-english-small")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Letters that are two to four bytes, and so as many tokens or fewer.
OTHER_LETTERS = "äöüéèñçåøßžшкотеяλπ日本猫山空한국🍎🐈🚀"


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
    " modern giant fresh frozen burning sweet colourful striped tall dark empty hot cold long red blue green yellow"
    " black white pink purple orange brown"
)
# One word in ten, by its checksum, is in no training text but by chance within another word.
HELD_OUT = 10


def is_held_out(text: str) -> bool:
    return zlib.crc32(text.lower().encode()) % HELD_OUT == 0


@cache
def other_names() -> tuple[str, ...]:
    """Names and keywords of the emoji that the models hardly know, of one to three words."""
    names = {name for subject in load_subjects() if subject.kind == "other" for name in subject.names}
    return tuple(sorted(name for name in names if len(name.split()) <= 3 and name.isascii() and name.islower()))


@cache
def dictionary() -> tuple[str, ...]:
    """English words of 3 to 12 small letters."""
    words = DICTIONARY.read_text(encoding="utf-8").split()
    return tuple(
        word for word in words if 3 <= len(word) <= 12 and word.isascii() and word.isalpha() and word.islower()
    )


@cache
def evaluation_ideas() -> list[tuple[str, str]]:
    """The fixed ideas of the evaluation, which training leaves out, each with its section."""
    section, result = "", []
    for line in EVALUATION.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            section = line[2:]
        elif line:
            result.append((section, line))
    return result


@cache
def evaluated() -> frozenset[str]:
    return frozenset(idea.lower() for _, idea in evaluation_ideas())


class WordWriter:
    """Draws words: those that may be trained, or those that may not."""

    def __init__(self, random: np.random.Generator, held_out: bool = False):
        self.random, self.held_out = random, held_out

    def pick(self, choices):
        return choices[self.random.integers(len(choices))]

    def made_up(self) -> str:
        """A word that can be spoken and means nothing: "flound", "greebish"."""
        return self._allowed(self._syllables)

    def real(self) -> str:
        """A word of the dictionary."""
        return self._allowed(lambda: self.pick(dictionary()))

    def part(self) -> str:
        """The end of a word, whose tokens few words have."""
        return self._allowed(lambda: self.pick(dictionary())[1 + self.random.integers(2) :])

    def misspelt(self, word: str) -> str:
        """The word with a letter left out, doubled, changed, or two of them exchanged."""
        return self._allowed(lambda: self._mistaken(word if self.random.random() < 0.8 else self.pick(dictionary())))

    def odd(self) -> str:
        """What is hardly a word: letters at random, with digits, a hyphen, of other alphabets."""
        return self._allowed(self._oddity)

    def word(self) -> str:
        """Any of them; real ones most often."""
        draw = self.random.random()
        if draw < 0.34:
            return self.real()
        if draw < 0.42:
            return self.real().capitalize()
        if draw < 0.5:
            return self.part()
        if draw < 0.78:
            return self.made_up()
        return self.misspelt(self.pick(dictionary())) if draw < 0.93 else self.odd()

    def name(self) -> str:
        """A thing that the models do not know, of one or two words."""
        draw = self.random.random()
        if draw < 0.15 and not self.held_out:
            return self.pick(other_names())
        return self.word() if draw < 0.85 else f"{self.word()} {self.word()}"

    def _allowed(self, draw) -> str:
        while is_held_out(word := draw()) != self.held_out:
            pass
        return word

    def _syllables(self) -> str:
        parts = [self.pick(ONSETS) + self.pick(VOWELS) + self.pick(CODAS) for _ in range(self.random.integers(1, 4))]
        return "".join(parts) + self.pick(ENDINGS)

    def _mistaken(self, word: str) -> str:
        place = self.random.integers(len(word))
        before, letter, after = word[:place], word[place], word[place + 1 :]
        kind = self.random.integers(4)
        if kind == 0 and len(word) > 3:
            return before + after
        if kind == 1:
            return before + letter + letter + after
        return before + after[:1] + letter + after[1:] if kind == 2 else before + self.pick(LETTERS) + after

    def _oddity(self) -> str:
        kind = self.random.integers(5)
        if kind == 0:
            return "".join(self.pick(LETTERS) for _ in range(self.random.integers(2, 8)))
        if kind == 1:
            return (
                f"{self.pick(LETTERS)}{self.random.integers(100)}"
                if self.random.random() < 0.5
                else (f"{self.pick(dictionary())}{self.random.integers(1000)}")
            )
        if kind == 2:
            return f"{self.pick(dictionary())}-{self._syllables()}"
        if kind == 3:
            return f"{self.pick(dictionary())}'s"
        word = self._syllables()
        place = self.random.integers(len(word) + 1)
        return word[:place] + self.pick(OTHER_LETTERS) + word[place:]
