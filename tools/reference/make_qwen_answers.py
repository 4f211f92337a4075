#!/usr/bin/env python3
"""Writes what transformers answers with the small language model that ships, for the test of the ONNX folder."""

import argparse
import json
import sys
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from train.qwen.judge import keeps_words
from train.qwen.presets import base_before, shipped
from transformers import AutoModelForCausalLM, AutoTokenizer

FIXTURE = Path(__file__).parents[2] / "pipelines" / "chat" / "fixtures" / "tiny-qwen.json"
MAX_TOKENS = 64
IDEAS = ("apple", "a rocket", "fox in the snow", "cactus on blue", "a cute penguin", "make a video of a pizza")
# What newcomers type, "knight", "street" and "nargle" with words that training never showed: each with a few presets.
EVERYDAY = (
    *("apple", "lighthouse", "two dogs", "old blue car", "a lighthouse at night", "a cat sleeping on a sofa"),
    *("knight", "nargle", "a street in old paris", "zorble", "a flimmerwick", "pink flamingo"),
)
TALKS = (
    ("What can you draw?",),
    ("Which colours do you know?",),
    ("a pizza", "a pizza on a light blue background", "make it red"),
)


def turns(texts: tuple[str, ...]) -> list[dict]:
    return [{"role": "assistant" if index % 2 else "user", "content": text} for index, text in enumerate(texts)]


def cases() -> list[dict]:
    """Conversations without a preset, with each, and texts for a model without a template."""
    result = [{"messages": turns((idea,))} for idea in IDEAS] + [{"messages": turns(talk)} for talk in TALKS]
    for before in shipped():
        examples = tuple(text for example in before.examples for text in example)
        result.append({"messages": [{"role": "system", "content": before.system}, *turns((*examples, "a pizza"))]})
    nature = next(before for before in shipped() if before.style == "nature")
    result += [{"prompt": f"{base_before(nature)}Idea: a turtle\nPrompt:"}, {"prompt": "Idea: bus\nPrompt:"}]
    return result + everyday_cases()


def everyday_cases() -> list[dict]:
    """Each idea alone, and two ideas in turn with each preset, by instruction and by examples."""
    result = [{"idea": idea, "messages": turns((idea,))} for idea in EVERYDAY]
    ideas = cycle(EVERYDAY)
    for before in shipped():
        for _ in range(2):
            examples = tuple(text for example in before.examples for text in example)
            idea = next(ideas)
            messages = [{"role": "system", "content": before.system}, *turns((*examples, idea))]
            result.append({"idea": idea, "messages": messages})
            idea = next(ideas)
            result.append({"idea": idea, "prompt": f"{base_before(before)}Idea: {idea}\nPrompt:"})
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="transformers folder that train/qwen/assemble.py wrote")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    answers: list[dict] = []
    lost: list[str] = []
    for case in cases():
        text = case.get("prompt") or tokenizer.apply_chat_template(
            case["messages"], tokenize=False, add_generation_prompt=True
        )
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            output = model.generate(**inputs, do_sample=False, max_new_tokens=MAX_TOKENS)
        tokens = output[0, inputs["input_ids"].shape[1] :].tolist()
        answers.append(case | {"tokens": len(tokens), "text": tokenizer.decode(tokens, skip_special_tokens=True)})
        print(answers[-1]["text"])
        if "idea" in case and not keeps_words(answers[-1]["text"], case["idea"]):
            lost.append(f"{case['idea']} -> {answers[-1]['text']}")
    if lost:
        print("words are lost:", *lost, sep="\n  ", file=sys.stderr)
        return 1
    FIXTURE.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
