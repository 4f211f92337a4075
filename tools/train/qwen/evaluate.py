"""Measures the small language model on ideas that training never showed. Prints one line for each kind."""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from train.qwen.ideas import Idea
from train.qwen.judge import is_accepted, keeps, keeps_words
from train.qwen.presets import Before, base_before, chat_before, sampling_of, shipped, user_turn
from train.qwen.talk import ANSWERS, Talk
from train.qwen.texts import ASSISTANT
from train.qwen.words import evaluation_ideas, is_held_out
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH, MAX_TOKENS = 60, 64
PRESET_STEP = 3


class Writer:
    """Generates with transformers."""

    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def write(self, texts: list[str], **sampling) -> list[tuple[str, bool]]:
        """What follows each text, and whether it ended by itself; greedily, or drawn by `sampling` from one seed."""
        torch.manual_seed(0)
        results = []
        ends = self.model.generation_config.eos_token_id
        for start in range(0, len(texts), BATCH):
            inputs = self.tokenizer(texts[start : start + BATCH], return_tensors="pt", padding=True)
            with torch.no_grad():
                output = self.model.generate(**inputs, max_new_tokens=MAX_TOKENS, **({"do_sample": False} | sampling))
            for row in output[:, inputs["input_ids"].shape[1] :].tolist():
                ended = any(token in ends for token in row)
                results.append((self.tokenizer.decode(row, skip_special_tokens=True).strip(), ended))
        return results


@dataclass(frozen=True)
class Way:
    """How an idea comes to the model, and how answers are drawn."""

    title: str
    before: Before | None = None
    base: bool = False
    sampled: bool = False

    def text(self, idea: str) -> str:
        before = self.before or Before("plain", "", "")
        if self.base:
            return f"{base_before(before)}Idea: {idea}\nPrompt:"
        return chat_before(before) + user_turn(idea) + ASSISTANT

    @property
    def clip(self) -> bool:
        return self.before is not None and self.before.target == "wan"

    @property
    def sampling(self) -> dict:
        if not self.sampled:
            return {}
        return {"do_sample": True, "top_k": 0, **sampling_of(self.before.style)}


def held_out_ideas(seed: int, count: int, clip: bool, known: bool) -> list[Idea]:
    """Ideas that training leaves out: of known things, or of words that it never showed."""
    ideas_of = Talk(np.random.default_rng(seed), held_out=not known).ideas
    draw: Callable[[bool], Idea] = ideas_of.draw_known if known else ideas_of.draw_open
    ideas: list[Idea] = []
    while len(ideas) < count:
        if is_held_out((idea := draw(clip)).text):
            ideas.append(idea)
    return ideas


def print_shares(title: str, found: list[dict[str, bool]]) -> None:
    right, all_of = Counter(), Counter()
    for values in found:
        all_of.update(values.keys())
        right.update(name for name, value in values.items() if value)
    print(f"{title:<34} " + ", ".join(f"{name} {right[name] / all_of[name]:.1%} of {all_of[name]}" for name in all_of))
    sys.stdout.flush()


class Evaluation:
    """One model, way by way."""

    def __init__(self, folder: Path, show: int):
        self.writer, self.show = Writer(folder), show

    def drawn(self, way: Way, ideas: list[Idea]) -> None:
        """Of ideas whose parts are known, what is kept of each part."""
        answers = self.writer.write([way.text(idea.text) for idea in ideas], **way.sampling)
        found = [
            {"accepted": is_accepted(prompt, idea.text, way.clip or idea.clip), "ended": ended} | keeps(prompt, idea)
            for idea, (prompt, ended) in zip(ideas, answers, strict=True)
        ]
        print_shares(way.title, found)
        self._print([idea.text for idea in ideas], answers, found, "accepted")

    def listed(self, way: Way, ideas: list[tuple[str, str]]) -> None:
        """Of ideas as people type them, by section: right are those that are accepted, whole and ended."""
        answers = self.writer.write([way.text(idea) for _, idea in ideas], **way.sampling)
        found, sections = [], {}
        for (section, idea), (prompt, ended) in zip(ideas, answers, strict=True):
            kept, accepted = keeps_words(prompt, idea), is_accepted(prompt, idea, way.clip)
            found.append({"right": kept and accepted and ended, "kept": kept, "accepted": accepted, "ended": ended})
            sections.setdefault(section, []).append({"right": found[-1]["right"], "kept": kept})
        print_shares(way.title, found)
        if way.before is None:
            for section, values in sections.items():
                print_shares(f"  {section}", values)
        self._print([idea for _, idea in ideas], answers, found, "right")

    def questions(self) -> None:
        asked = [(question, answer) for answer, questions in ANSWERS.values() for question in questions]
        answers = self.writer.write([user_turn(question) + ASSISTANT for question, _ in asked])
        found = [{"right": given == answer} for (given, _), (_, answer) in zip(answers, asked, strict=True)]
        print_shares("fixed questions", found)

    def follow_ups(self, count: int) -> None:
        """Second turns such as "make it blue", whose answer keeps the thing."""
        talk = Talk(np.random.default_rng(6))
        cases = []
        for idea in held_out_ideas(7, count, False, True):
            chosen = talk.prompts.choose(idea, "plain", idea.clip)
            first = user_turn(idea.text) + ASSISTANT + talk.prompts.render(chosen, "plain", idea.clip) + "<|im_end|>\n"
            text, answer = talk.follow_up(chosen, "plain", idea.clip)
            cases.append((first + user_turn(text) + ASSISTANT, text, answer, idea))
        found = []
        answers = self.writer.write([case[0] for case in cases])
        for (given, _), (_, text, answer, idea) in zip(answers, cases, strict=True):
            found.append({"thing": idea.noun in given} | ({"as expected": given == answer} if " " in text else {}))
        print_shares("second turns", found)

    def _print(self, ideas: list[str], answers: list, found: list[dict[str, bool]], name: str) -> None:
        """The first that are wrong, and the first of all."""
        wrong = [index for index, values in enumerate(found) if not values[name]][: self.show]
        for index in (*range(min(self.show, len(ideas))), *wrong):
            print(f"    {'' if found[index][name] else 'WRONG '}{ideas[index]} -> {answers[index][0]}")


def evaluate() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="transformers folder that assemble.py wrote")
    parser.add_argument("--count", type=int, default=100, help="ideas of each kind that is drawn (default: 100)")
    parser.add_argument("--show", type=int, default=0, help="ideas of each kind to print with their prompts")
    parser.add_argument("--brief", action="store_true", help="without the presets one by one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    evaluation, count = Evaluation(options.folder, options.show), options.count
    everyday = evaluation_ideas()
    presets = {(before.style, before.target): before for before in shipped()}
    photographic = presets["photographic", "sdxl"]

    evaluation.drawn(Way("known things"), held_out_ideas(1, 2 * count, False, True))
    evaluation.drawn(Way("unknown words"), held_out_ideas(2, 2 * count, False, False))
    evaluation.drawn(Way("unknown words, photographic", photographic), held_out_ideas(2, 2 * count, False, False))
    evaluation.listed(Way("everyday"), everyday)
    evaluation.listed(Way("everyday, photographic", photographic), everyday)
    evaluation.listed(Way("everyday, photographic, sampled", photographic, sampled=True), everyday)
    evaluation.listed(Way("everyday, photographic, base", photographic, base=True, sampled=True), everyday)
    evaluation.questions()
    evaluation.follow_ups(count)
    if options.brief:
        return
    for index, ((style, target), before) in enumerate(presets.items()):
        some = everyday[index % PRESET_STEP :: PRESET_STEP]
        known = held_out_ideas(3, count // 2, target == "wan", True)
        for base in (False, True):
            title = f"{style} {target}{' base' if base else ''}"
            evaluation.listed(Way(f"everyday, {title}", before, base, sampled=True), some)
            evaluation.drawn(Way(f"known things, {title}", before, base), known)


if __name__ == "__main__":
    evaluate()
