"""The shipped presets, and what stands before an idea: a system prompt with examples, as a chat or as plain text."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from train.qwen.prompts import STYLES

FOLDER = Path(__file__).parents[3] / "supabase" / "functions" / "_shared" / "presets"
TARGETS = ("sdxl", "wan")
# System prompts that are not a preset's: what they say of style and target is all that counts.
ROLES = (
    *(
        "You write prompts",
        "You are a prompt writer",
        "You improve prompts",
        "You turn short ideas into longer prompts",
    ),
    *(
        "Write a prompt",
        "Expand the idea into a prompt",
        "Rewrite the idea as a prompt",
        "You help people with prompts",
    ),
)
TARGET_WORDS = {
    "sdxl": (
        "for a picture",
        "for an image model",
        "for a still image",
        "for Stable Diffusion XL",
        "for a picture model",
    ),
    "wan": ("for a video", "for a short clip", "for a video model", "for WAN", "for a clip with motion"),
}
STYLE_WORDS = {
    "plain": ("",),
    "cinematic": ("Style: cinematic.", "Make it cinematic.", "It is a frame of a film.", "Cinematic light and mood."),
    "photographic": (
        "Style: photographic.",
        "It is a photograph.",
        "Make it look like a photo.",
        "A natural photograph.",
    ),
    "illustration": ("Style: illustration.", "It is a drawing.", "Make it an illustration.", "An illustrated picture."),
    "product": (
        "Style: product.",
        "It is a product before a plain background.",
        "A product picture.",
        "Product style.",
    ),
    "nature": ("Style: nature.", "Place it outdoors.", "Set it in a landscape.", "It is outdoors, in nature."),
}
REMARKS = (
    *(
        "Answer with the prompt alone.",
        "Be brief.",
        "Use plain words.",
        "Keep every object and colour.",
        "Do not use lists.",
    ),
    *("Be creative.", "Answer in English.", "No explanations.", "At most 40 words.", "Keep what the user said."),
)
HELPFUL = (
    "You are a helpful assistant.",
    "You are a friendly assistant.",
    "You are tiny-qwen.",
    "Be helpful and brief.",
)


@dataclass(frozen=True)
class Before:
    """What stands before an idea. `system` may be empty; `examples`: pairs of idea and prompt."""

    style: str
    target: str
    system: str
    examples: tuple[tuple[str, str], ...] = ()


@cache
def shipped() -> tuple[Before, ...]:
    """Each preset for each target, with its examples."""
    result = []
    for style in STYLES:
        preset = json.loads((FOLDER / f"{style}.json").read_text(encoding="utf-8"))
        for target in TARGETS:
            part = preset["targets"][target]
            examples = tuple((example["idea"], example["prompt"]) for example in part["examples"])
            result.append(Before(style, target, f"{preset['system_prompt']} {part['instruction']}", examples))
    return tuple(result)


def sampling_of(style: str) -> dict[str, float]:
    """How answers are drawn with a shipped preset."""
    return json.loads((FOLDER / f"{style}.json").read_text(encoding="utf-8"))["sampling"]


@cache
def all_examples() -> tuple[tuple[str, str], ...]:
    """Those of all presets."""
    return tuple(example for before in shipped() for example in before.examples)


def any_system(random: np.random.Generator) -> Before:
    """A system prompt that no preset has."""

    def pick(choices):
        return choices[random.integers(len(choices))]

    if random.random() < 0.25:
        return Before("plain", "", pick(HELPFUL))
    target, style = pick(TARGETS), pick(("plain", *STYLES))
    parts = [f"{pick(ROLES)} {pick(TARGET_WORDS[target])}.", pick(STYLE_WORDS[style])]
    parts += [pick(REMARKS) for _ in range(random.integers(0, 3))]
    if random.random() < 0.3:
        parts = parts[1:] + parts[:1]
    return Before(style, target, " ".join(part for part in parts if part))


def chat_before(before: Before) -> str:
    """As the chat template writes it."""
    system = f"<|im_start|>system\n{before.system}<|im_end|>\n" if before.system else ""
    return system + "".join(user_turn(idea) + assistant_turn(prompt) for idea, prompt in before.examples)


def user_turn(text: str) -> str:
    return f"<|im_start|>user\n{text}<|im_end|>\n"


def assistant_turn(text: str) -> str:
    return f"<|im_start|>assistant\n{text}<|im_end|>\n"


def base_before(before: Before) -> str:
    """As plain text, for a model without a template."""
    system = f"{before.system}\n\n" if before.system else ""
    return system + "".join(f"Idea: {idea}\nPrompt: {prompt}\n\n" for idea, prompt in before.examples)
