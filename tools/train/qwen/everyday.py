"""Ideas of anything at all, in the shapes that people type: "two greebish dogs eating a lamp near the zorble"."""

from dataclasses import dataclass

import numpy as np
from train.qwen.words import ADJECTIVES, WordWriter, listed

# What stands before a noun so that it needs no article.
DETERMINERS = (
    *listed("a an the two three four five six seven eight nine ten twelve some many several few my your his her its"),
    *listed("our their this that these those no one every each all both another lots"),
)
COUNTS = listed("two three four five six seven ten some many several few these those all")
OWNERS = listed("my your his her our their this that one another every")
# Nouns without an article, and plurals without an s.
WITHOUT_ARTICLE = (
    *listed("water rain snow ice fog mist smoke sand grass wood gold coffee tea milk honey bread rice cheese fire"),
    *listed("music lightning thunder sunlight moonlight space love nature food fruit corn dust mud lava hair money"),
    *listed("people children men women mice feet geese sheep teeth clothes flames spring summer autumn winter"),
)
# What people name most often, so that it is not odd words alone that are kept.
COMMON = listed(
    "man woman girl boy child baby friend king queen teacher doctor farmer soldier dancer crowd family portrait face"
    " house room kitchen window door wall roof garden park street road bridge town village tower castle church school"
    " shop market museum farm field forest lake river sea beach hill mountain valley cave sky cloud storm night morning"
    " chair sofa table bed lamp mirror clock book letter map cup glass bottle bowl plate knife basket box bag hat coat"
    " dress shoe ring crown sword flag wheel engine car bus truck boat ship plane train horse cow sheep goat pig duck"
    " bird mouse monkey tiger elephant bear wolf deer frog fish snake spider dragon monster fairy ghost angel robot"
    " alien statue fountain candle cake soup sandwich cookie sofa piano drum violin poster logo sketch photo scene"
)
LINKS = (
    *listed("with in on at under over behind near inside and of from by like beside without through above into"),
    *("next to", "in front of", "made of", "on top of", "full of", "and"),
    *listed("with in on of") * 2,
)
DOINGS = (
    *listed("sleeping running flying dancing playing eating reading sitting standing swimming walking riding jumping"),
    *listed("singing cooking fighting holding wearing driving climbing drinking smiling looking painting carrying"),
    *("looking at", "playing with", "waiting for", "sleeping on", "sitting on", "jumping over", "walking in"),
)
PLURAL_SHARE, TAIL_SHARES = 0.25, (0.45, 0.78, 0.9)
WORDS_LIMIT = 9


@dataclass(frozen=True)
class Phrase:
    """`typed` by the user, and as it goes into a prompt: with an article where it wants one. `acts`: it says what the
    thing does."""

    typed: str
    said: str
    acts: bool


def wants_article(noun: str) -> bool:
    """Whether this word, the last of its noun phrase, is a single thing that can be counted."""
    word = noun.lower()
    many = word.endswith("s") and not word.endswith(("ss", "us", "is", "'s"))
    return not many and word not in WITHOUT_ARTICLE and not word[0].isdigit()


def article(text: str) -> str:
    return "an" if text[0].lower() in "aeiou" else "a"


def plural(noun: str) -> str:
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    return noun[:-1] + "ies" if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou") else noun + "s"


class PhraseWriter:
    """Draws phrases of one to nine words."""

    def __init__(self, random: np.random.Generator, names: tuple[str, ...], held_out: bool = False):
        """`names`: things that the models know, which are among the others."""
        self.random, self.names = random, names
        self.words = WordWriter(random, held_out)

    def pick(self, choices):
        return choices[self.random.integers(len(choices))]

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def phrase(self) -> Phrase:
        while True:
            words, needs = self._noun_phrase()
            tail, acts = self._tail()
            words += tail
            if len(words.split()) <= WORDS_LIMIT:
                return Phrase(words, f"{article(words)} {words}" if needs else words, acts)

    def noun(self) -> str:
        draw = self.random.random()
        if draw < 0.18:
            name = self.pick(self.names)
            return self.words.misspelt(name) if self.chance(0.3) else name
        if draw < 0.4:
            return self.pick(COMMON)
        return self.pick(WITHOUT_ARTICLE) if draw < 0.43 else self.words.name()

    def _noun_phrase(self) -> tuple[str, bool]:
        """The words, and whether an article is missing before them."""
        noun = self.noun()
        adjectives = "".join(self._adjective() + " " for _ in range(self.random.choice(3, p=(0.6, 0.3, 0.1))))
        if self.chance(PLURAL_SHARE):
            return (f"{self.pick(COUNTS)} " if self.chance(0.6) else "") + adjectives + plural(noun), False
        draw = self.random.random()
        words = adjectives + noun
        if draw < 0.38:
            return words, wants_article(noun.split()[-1])
        if draw < 0.84:
            return f"{article(words)} {words}", False
        return f"{'the' if draw < 0.94 else self.pick(OWNERS)} {words}", False

    def _adjective(self) -> str:
        return self.pick(ADJECTIVES) if self.chance(0.8) else self.words.word()

    def _tail(self) -> tuple[str, bool]:
        """What else is there, or what the thing does and with what; and whether it does something."""
        draw = self.random.random()
        if draw < TAIL_SHARES[0]:
            return "", False
        if draw < TAIL_SHARES[1]:
            return self._linked(), False
        doing = " " + self.pick(DOINGS)
        more = f" {self._noun_phrase()[0]}" if self.chance(0.5) else ""
        return doing + more + (self._linked() if draw > TAIL_SHARES[2] else ""), True

    def _linked(self) -> str:
        if self.chance(0.08):
            return f", {self.noun()}"
        return f" {self.pick(LINKS)} {self._noun_phrase()[0]}"
