"""Training texts: what stands before, and what follows it as pieces that are learned or only read."""

from dataclasses import dataclass, replace

import numpy as np
from train.qwen.everyday import LINKS
from train.qwen.ideas import Idea, full_name, names_of
from train.qwen.presets import Before, all_examples, any_system, base_before, chat_before, shipped, user_turn
from train.qwen.prompts import PromptWriter
from train.qwen.talk import Talk
from train.qwen.things import with_article
from train.qwen.words import evaluated, is_held_out

ASSISTANT, END_TURN, END_TEXT = "<|im_start|>assistant\n", "<|im_end|>", "<|endoftext|>"
# A text in pieces: (text, whether it is learned).
Pieces = list[tuple[str, bool]]
# How often each kind of beginning is drawn: none, a preset's as a chat, as plain text, a system prompt of no preset.
# And lines that repeat themselves, from which copying is learned soonest.
BEGINNINGS = {"none": 0.18, "preset": 0.42, "base": 0.2, "system": 0.1, "repeat": 0.1}
# A preset's examples: as they are, others or in another order, none.
EXAMPLES_SHARE, OTHER_EXAMPLES_SHARE = 0.55, 0.2
CONTEXT_SHARE = 0.06


@dataclass(frozen=True)
class Batch:
    """Texts with one beginning."""

    before: str
    texts: list[Pieces]


class TextWriter:
    """Draws batches of training texts."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.talk = Talk(self.random)
        self.prompts: PromptWriter = self.talk.prompts

    def idea(self, clip: bool) -> Idea:
        """One that may be trained: neither held out by its checksum, nor of the evaluation's list."""
        while is_held_out(text := (idea := self.talk.ideas.draw(clip)).text) or text.lower() in evaluated():
            pass
        return idea

    def batch(self, size: int) -> Batch:
        kinds = tuple(BEGINNINGS)
        kind = kinds[self.random.choice(len(kinds), p=list(BEGINNINGS.values()))]
        if kind == "repeat":
            return Batch("", [self._repeated() for _ in range(size)])
        if kind == "none":
            return Batch("", [self._without_system() for _ in range(size)])
        if kind == "system":
            before = any_system(self.random)
            if self.random.random() < 0.4 and before.target:
                before = replace(before, examples=self._examples(before))
            return Batch(chat_before(before), [self._chat(before, not before.target) for _ in range(size)])
        before = self._preset()
        if kind == "base":
            return Batch(base_before(before), [self._base(before.style, before.target == "wan") for _ in range(size)])
        return Batch(chat_before(before), [self._chat(before, False) for _ in range(size)])

    def _preset(self) -> Before:
        """A shipped one; now and then with other examples, or with something that was said before."""
        before = shipped()[self.random.integers(len(shipped()))]
        draw = self.random.random()
        if draw > EXAMPLES_SHARE + OTHER_EXAMPLES_SHARE:
            before = replace(before, examples=())
        elif draw > EXAMPLES_SHARE:
            before = replace(before, examples=self._examples(before))
        if self.random.random() < CONTEXT_SHARE:
            said = "\n".join(self.idea(False).text for _ in range(self.random.integers(1, 4)))
            before = replace(before, system=f"{before.system}\n\nWhat was said before:\n{said}")
        return before

    def _examples(self, before: Before) -> tuple[tuple[str, str], ...]:
        """Of any preset, or of this style as the small models have it."""
        count = self.random.integers(1, 5)
        if self.random.random() < 0.6:
            pool = all_examples()
            return tuple(pool[index] for index in self.random.permutation(len(pool))[:count])
        clip = before.target == "wan"
        ideas = [self.idea(clip) for _ in range(count)]
        return tuple((idea.text, self.prompts.write(idea, before.style, clip)) for idea in ideas)

    def _repeated(self) -> Pieces:
        """A line of words that have little to do with each other, twice; or names, each at a line's beginning and
        within a line."""
        ideas = self.talk.ideas
        if self.random.random() < 0.4:
            pieces: Pieces = []
            for _ in range(5):
                thing = ideas.pick(ideas.things)
                name = ideas.pick(names_of(thing))
                pieces += [(f"{name}\n", False), (f"{with_article(full_name(thing, name))}\n", True)]
            return pieces
        if self.random.random() < 0.5:
            # Small words come again and again: what follows them is told by more than the word before.
            line = f"{ideas.phrases.phrase().typed} {ideas.pick(LINKS)} {ideas.phrases.phrase().said}"
        else:
            line = " ".join(self._cased(ideas.phrases.words.word()) for _ in range(self.random.integers(3, 9)))
        return [(f"{line}\n", False), (line + END_TEXT, True)]

    def _cased(self, word: str) -> str:
        """With a capital, whose tokens are others, or parts of a word that few words have by themselves."""
        draw = self.random.random()
        if draw < 0.2:
            return word.capitalize()
        return word[self.random.integers(len(word)) :] if draw < 0.4 else word

    def _without_system(self) -> Pieces:
        draw = self.random.random()
        if draw < 0.14:
            return self._base("plain", False)
        if draw < 0.2:
            clip = self.random.random() < 0.5
            return [(self.prompts.write(self.idea(clip), "plain", clip) + END_TEXT, True)]
        return self._chat(Before("plain", "", ""), True)

    def _base(self, style: str, clip: bool) -> Pieces:
        idea = self.idea(clip)
        return [
            (f"Idea: {idea.text}\nPrompt:", False),
            (f" {self.prompts.write(idea, style, clip or idea.clip)}{END_TEXT}", True),
        ]

    def _chat(self, before: Before, questions: bool) -> Pieces:
        """One turn, or two of which the second may be about the first."""
        draw = self.random.random()
        if questions and draw < 0.22:
            turns = [self.talk.question()]
            if self.random.random() < 0.25:
                turns.append(self._turn(before)[0])
        elif draw < 0.36 if questions else draw < 0.12:
            first, idea, clip = self._turn(before)
            turns = [first, self.talk.follow_up(idea, before.style, clip)]
        elif draw < 0.42 if questions else draw < 0.16:
            turns = [self._turn(before)[0], self._turn(before)[0]]
        else:
            turns = [self._turn(before)[0]]
        pieces: Pieces = []
        for question, answer in turns:
            pieces += [(user_turn(question) + ASSISTANT, False), (answer + END_TURN, True), ("\n", False)]
        return pieces[:-1]

    def _turn(self, before: Before) -> tuple[tuple[str, str], Idea, bool]:
        idea = self.idea(before.target == "wan")
        clip = before.target == "wan" or idea.clip
        chosen = self.prompts.choose(idea, before.style, clip)
        return (idea.text, self.prompts.render(chosen, before.style, clip)), chosen, clip


def corpus(seed: int, batches: int) -> list[str]:
    """Texts for the tokenizer."""
    writer = TextWriter(seed)
    texts = []
    for _ in range(batches):
        batch = writer.batch(32)
        texts.append(batch.before)
        texts += ["".join(text for text, _ in pieces) for pieces in batch.texts]
    return texts
