"""The emoji that the model learns: their names, short names and kinds.

Names and keywords come from Unicode's own files (Debian `unicode-data` and `unicode-cldr-core`).
"""

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

EMOJI_TEST = Path("/usr/share/unicode/emoji/emoji-test.txt")
ANNOTATIONS = Path("/usr/share/unicode/cldr/common/annotations/en.xml")
LISTS = Path(__file__).parent
VARIATION_SELECTOR = "\ufe0f"

Kind = Literal["most used", "plain thing", "other"]


@dataclass(frozen=True)
class Subject:
    """One emoji. `names`: what captions call it, the Unicode short name first. `kind`: how often it is shown."""

    index: int
    character: str
    names: tuple[str, ...]
    kind: Kind


def read_list(name: str) -> list[str]:
    """The lines of one of this folder's word lists, without comments."""
    lines = (line.split("#")[0].strip() for line in (LISTS / name).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def words_only(text: str) -> str:
    """Lower-case words with single spaces: captions have no punctuation of their own."""
    return " ".join(re.findall(r"[\w']+", text.lower().replace("’", "'")))


def base_emoji() -> list[str]:
    """Every emoji that is one code point: no skin tones, country flags, keycaps or joined sequences."""
    result = []
    for line in EMOJI_TEST.read_text(encoding="utf-8").splitlines():
        match = re.match(r"([0-9A-F ]+?) *; fully-qualified", line)
        if match is None:
            continue
        points = [int(point, 16) for point in match[1].split()]
        characters = "".join(map(chr, points)).removesuffix(VARIATION_SELECTOR)
        if len(characters) == 1:
            result.append(characters)
    return result


def annotations() -> dict[str, tuple[str, list[str]]]:
    """Short name and keywords of each emoji, from CLDR."""
    names: dict[str, str] = {}
    keywords: dict[str, list[str]] = {}
    for node in ElementTree.parse(ANNOTATIONS).getroot().iter("annotation"):
        character = node.attrib["cp"].removesuffix(VARIATION_SELECTOR)
        if node.attrib.get("type") == "tts":
            names[character] = words_only(node.text or "")
        else:
            keywords[character] = [words_only(word) for word in (node.text or "").split("|")]
    return {character: (name, keywords.get(character, [])) for character, name in names.items()}


def short_names() -> dict[str, str]:
    """The hand-written everyday names of `short_names.txt`: name -> emoji."""
    pairs = (line.split("=") for line in read_list("short_names.txt"))
    return {words_only(name): character.strip().removesuffix(VARIATION_SELECTOR) for name, character in pairs}


def load_subjects() -> list[Subject]:
    """Every base emoji with its names. A keyword becomes a name only where no other emoji has it."""
    known = annotations()
    characters = [character for character in base_emoji() if character in known]
    full_names = {known[character][0] for character in characters}
    shared = Counter(word for character in characters for word in set(known[character][1]))
    by_hand = short_names()
    most_used = {line.removesuffix(VARIATION_SELECTOR) for line in read_list("most_used.txt")}
    plain = {line.removesuffix(VARIATION_SELECTOR) for line in read_list("plain_things.txt")}
    subjects = []
    for character in characters:
        name, keywords = known[character]
        own = [word for word in keywords if shared[word] == 1 and word not in full_names and word not in by_hand]
        everyday = [word for word, owner in by_hand.items() if owner == character]
        kind: Kind = "most used" if character in most_used else "plain thing" if character in plain else "other"
        names = tuple(dict.fromkeys([name, *everyday, *own]))
        subjects.append(Subject(len(subjects), character, names, kind))
    return subjects


def shares(subjects: list[Subject], weights: dict[Kind, float]) -> np.ndarray:
    """How likely each subject is to be drawn; adds up to 1."""
    result = np.array([weights[subject.kind] for subject in subjects], np.float64)
    return result / result.sum()
