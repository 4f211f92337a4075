"""Measures the small language model on ideas that training never showed. Prints one line for each kind."""

import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from train.qwen.ideas import Idea
from train.qwen.judge import is_accepted, keeps
from train.qwen.presets import Before, base_before, chat_before, shipped, user_turn
from train.qwen.talk import ANSWERS, Talk
from train.qwen.texts import ASSISTANT, is_held_out
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH, MAX_TOKENS = 50, 64


class Writer:
    """Generates with transformers."""

    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def write(self, texts: list[str], **sampling) -> list[tuple[str, bool]]:
        """What follows each text, and whether it ended by itself."""
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


def held_out_ideas(seed: int, count: int, clip: bool, known: bool) -> list[Idea]:
    """Ideas that training leaves out, of known things or of unknown words."""
    talk = Talk(np.random.default_rng(seed))
    ideas: list[Idea] = []
    while len(ideas) < count:
        idea = talk.ideas.draw(clip)
        if is_held_out(idea.text) and (idea.thing is not None) == known:
            ideas.append(idea)
    return ideas


def report(title: str, ideas: list[Idea], answers: list[tuple[str, bool]], clip: bool, show: int) -> None:
    right, all_of = Counter(), Counter()
    for idea, (prompt, ended) in zip(ideas, answers, strict=True):
        found = {"accepted": is_accepted(prompt, idea.text, clip or idea.clip), "ended": ended} | keeps(prompt, idea)
        for name, value in found.items():
            all_of[name] += 1
            right[name] += value
    shares = ", ".join(f"{name} {right[name] / all_of[name]:.0%} of {all_of[name]}" for name in all_of)
    print(f"{title:<26} {shares}", flush=True)
    for idea, (prompt, _) in list(zip(ideas, answers, strict=True))[:show]:
        print(f"    {idea.text} -> {prompt}")


def evaluate() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="transformers folder that assemble.py wrote")
    parser.add_argument("--count", type=int, default=100, help="ideas of each kind (default: 100)")
    parser.add_argument("--show", type=int, default=0, help="ideas of each kind to print with their prompts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    writer, count = Writer(options.folder), options.count

    def judge(title: str, before: str, ideas: list[Idea], clip: bool, base: bool = False, **sampling) -> None:
        forms = [f"Idea: {idea.text}\nPrompt:" if base else user_turn(idea.text) + ASSISTANT for idea in ideas]
        report(title, ideas, writer.write([before + form for form in forms], **sampling), clip, options.show)

    known = held_out_ideas(1, 2 * count, False, True)
    judge("known things", "", known, False)
    judge("unknown words", "", held_out_ideas(2, count, False, False), False)
    torch.manual_seed(0)
    sampling = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 0, "repetition_penalty": 1.05}
    judge("known things, sampled", "", known[:count], False, **sampling)
    judge("base, no examples", "", known[:count], False, base=True)
    for before in shipped():
        clip = before.target == "wan"
        ideas = held_out_ideas(3 if clip else 4, count // 2, clip, True)
        judge(f"{before.style} {before.target}", chat_before(before), ideas, clip)
    nature = next(before for before in shipped() if (before.style, before.target) == ("nature", "wan"))
    clips = held_out_ideas(5, count // 2, True, True)
    judge("nature wan, no examples", chat_before(Before("nature", "wan", nature.system)), clips, True)
    judge("nature wan, base", base_before(nature), clips, True, base=True)
    questions = [(question, answer) for answer, asked in ANSWERS.values() for question in asked]
    answers = writer.write([user_turn(question) + ASSISTANT for question, _ in questions])
    right = sum(given == answer for (given, _), (_, answer) in zip(answers, questions, strict=True))
    print(f"{'fixed questions':<26} right {right / len(questions):.0%} of {len(questions)}")
    follow_ups(writer, count, options.show)


def follow_ups(writer: Writer, count: int, show: int) -> None:
    """Second turns such as "make it blue", whose answer keeps the thing."""
    talk = Talk(np.random.default_rng(6))
    cases = []
    for idea in held_out_ideas(7, count, False, True):
        chosen = talk.prompts.choose(idea, "plain", idea.clip)
        first = user_turn(idea.text) + ASSISTANT + talk.prompts.render(chosen, "plain", idea.clip) + "<|im_end|>\n"
        text, answer = talk.follow_up(chosen, "plain", idea.clip)
        cases.append((first + user_turn(text) + ASSISTANT, text, answer, idea))
    answers = writer.write([case[0] for case in cases])
    kept = sum(idea.noun in given for (given, _), (*_, idea) in zip(answers, cases, strict=True))
    named = [(given, answer) for (given, _), (_, text, answer, _) in zip(answers, cases, strict=True) if " " in text]
    same = sum(given == answer for given, answer in named)
    print(
        f"{'second turns':<26} thing {kept / count:.0%} of {count}, as expected {same / len(named):.0%} of {len(named)}"
    )
    for (given, _), (_, text, _, idea) in list(zip(answers, cases, strict=True))[:show]:
        print(f"    {idea.text} / {text} -> {given}")


if __name__ == "__main__":
    evaluate()
