#!/usr/bin/env python3
"""Measures how well pictures follow their prompts, without any outside model; nearest.py says how they are compared."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from diffusers import StableDiffusionXLPipeline

from export.source_folder import read_json
from train.captions import allowed_backgrounds, held_out_colors, with_article
from train.latents import PictureMaker
from train.nearest import Match, Matcher
from train.pictures import BACKGROUNDS, COLORS
from train.sample import decode, sample_latents
from train.subjects import Subject, load_subjects
from train.train_unet import SHIFTS

GUIDANCE_SCALES = (1.0, 6.0)
# Of how many near emoji the prompted one is searched for, beside "nearest of all".
NEAR = 10
# Mean absolute difference of two seeds' pictures (of 0..1) from which on they count as different.
SEED_DIFFERENCE = 0.005


class Evaluation:
    """One model under test."""

    def __init__(self, source: Path, steps: int, guidance: float, seed: int):
        self.pipeline = StableDiffusionXLPipeline.from_pretrained(source, add_watermarker=False)
        self.pipeline.set_progress_bar_config(disable=True)
        size = self.pipeline.unet.config.sample_size * 8
        self.maker = PictureMaker(load_subjects(), size)
        self.matcher = Matcher(self.maker, size, tuple(round(shift * size / 64) for shift in SHIFTS))
        self.steps, self.guidance, self.seed = steps, guidance, seed

    def of_kind(self, kind: str) -> list[Subject]:
        return [subject for subject in self.maker.subjects if subject.kind == kind]

    def draw(self, prompts: list[str], guidance: float | None = None, seed: int | None = None, negative=None):
        """Pictures in -1..1; the i-th prompt has the seed `seed + i`."""
        first = self.seed if seed is None else seed
        seeds = list(range(first, first + len(prompts)))
        scale = self.guidance if guidance is None else guidance
        return decode(self.pipeline, sample_latents(self.pipeline, prompts, seeds, self.steps, scale, negative))

    def match(self, pictures: torch.Tensor) -> list[Match]:
        return [self.matcher.match(picture) for picture in pictures]

    def pairs(self, subjects: list[Subject], colors: list[str], **options) -> dict:
        """Shares of pictures of each subject on its colour that show the subject, and that show the colour."""
        prompts = [prompt_of(subject, color) for subject, color in zip(subjects, colors, strict=True)]
        matches = self.match(self.draw(prompts, **options))
        subject_right = [match.subject == subject.index for match, subject in zip(matches, subjects, strict=True)]
        color_right = [
            BACKGROUNDS[match.background].name == color for match, color in zip(matches, colors, strict=True)
        ]
        near = [rank(match, subject) < NEAR for match, subject in zip(matches, subjects, strict=True)]
        wrong = [
            {"prompt": prompt, "seen": self.maker.subjects[match.subject].names[0], "rank": rank(match, subject)}
            for prompt, match, subject, right in zip(prompts, matches, subjects, subject_right, strict=True)
            if not right
        ]
        return {"pictures": len(prompts), "subject": mean(subject_right), "near": mean(near)} | {
            "color": mean(color_right),
            "wrong": wrong,
        }

    def seeds(self, subjects: list[Subject]) -> dict:
        """Two seeds of the same prompts: how far apart the pictures are."""
        prompts = [with_article(subject.names[0]) for subject in subjects]
        first, second = self.draw(prompts), self.draw(prompts, seed=self.seed + 5000)
        apart = (first - second).abs().mean((1, 2, 3)) / 2
        return {
            "pictures": len(prompts),
            "different": mean(apart > SEED_DIFFERENCE),
            "mean_difference": apart.mean().item(),
        }

    def negatives(self, subjects: list[Subject]) -> dict:
        """Prompts without a background, then with the background that came out as the negative prompt: does it go?"""
        prompts = [with_article(subject.names[0]) for subject in subjects]
        before = [BACKGROUNDS[match.background].name for match in self.match(self.draw(prompts))]
        after = self.match(self.draw(prompts, negative=[f"{name} background" for name in before]))
        left = [BACKGROUNDS[match.background].name != name for match, name in zip(after, before, strict=True)]
        kept = [match.subject == subject.index for match, subject in zip(after, subjects, strict=True)]
        return {"pictures": len(prompts), "background_changed": mean(left), "subject": mean(kept)}


def prompt_of(subject: Subject, color: str) -> str:
    return f"{with_article(subject.names[0])} on a {color} background".replace("a orange", "an orange")


def rank(match: Match, subject: Subject) -> int:
    """How many emoji are nearer than the prompted one."""
    return int((match.distances < match.distances[subject.index]).sum())


def mean(values) -> float:
    return round(float(torch.as_tensor(values).float().mean()), 4)


def trained_color(subject: Subject) -> str:
    """One colour that training showed with this subject."""
    names = [BACKGROUNDS[index].name for index in allowed_backgrounds(subject) if index < len(COLORS)]
    return names[subject.index % len(names)]


def evaluate(evaluation: Evaluation) -> dict:
    most_used, plain = evaluation.of_kind("most used"), evaluation.of_kind("plain thing")
    others = evaluation.of_kind("other")
    others = others[:: max(1, len(others) // 100)]
    report: dict = {"steps": evaluation.steps, "guidance_scale": evaluation.guidance, "seed": evaluation.seed}
    for name, subjects in (("most_used", most_used), ("plain_things", plain), ("others", others)):
        report[name] = evaluation.pairs(subjects, [trained_color(subject) for subject in subjects])
        print(name, report[name]["subject"], report[name]["near"], report[name]["color"], flush=True)
    favoured = most_used + plain
    colors = [held_out_colors(subject)[position % 2] for position, subject in enumerate(favoured)]
    report["held_out_pairs"] = evaluation.pairs(favoured, colors)
    report["held_out_pairs"]["list"] = [
        f"{subject.names[0]} / {color}" for subject, color in zip(favoured, colors, strict=True)
    ]
    report["seeds"] = evaluation.seeds(most_used[::2])
    report["negative_prompts"] = evaluation.negatives(most_used[::2])
    report["guidance"] = {}
    for scale in GUIDANCE_SCALES:
        found = evaluation.pairs(most_used, [trained_color(subject) for subject in most_used], guidance=scale)
        report["guidance"][str(scale)] = {"subject": found["subject"], "color": found["color"]}
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="diffusers folder that assemble.py --source wrote")
    parser.add_argument("--output", type=Path, help="also write the whole report here, as JSON")
    parser.add_argument("--defaults", type=Path, help="generation_config.json to take steps and guidance from")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch decides)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    steps, guidance = options.steps, options.guidance
    if options.defaults:
        defaults = read_json(options.defaults)
        steps, guidance = defaults["num_inference_steps"], defaults["guidance_scale"]
    report = evaluate(Evaluation(options.source, steps, guidance, options.seed))
    text = json.dumps(report, indent=2, ensure_ascii=False)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
