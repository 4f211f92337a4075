#!/usr/bin/env python3
"""Measures how well clips follow their prompts; judge.py says what is measured and how."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from diffusers import WanPipeline

from export.source_folder import read_json
from train.captions import allowed_backgrounds, held_out_colors
from train.pictures import BACKGROUNDS, COLORS
from train.wan.captions import allowed_motions, held_out, plain_caption
from train.wan.clips import ClipMaker
from train.wan.judge import Judge, background_name
from train.wan.motions import MOTIONS
from train.wan.preview import sheet
from train.wan.sample import decode, sample_latents

# Per motion, of each kind of prompt.
PROMPTS_PER_MOTION = 3

Content = tuple[int, int, int]


def held_out_contents(maker: ClipMaker) -> list[Content]:
    """(subject, motion, background) with a subject and motion, and a subject and colour, that training never shows."""
    contents = []
    for motion in range(len(MOTIONS)):
        fitting = [index for index, subject in enumerate(maker.subjects) if held_out(subject, motion)]
        for turn in range(PROMPTS_PER_MOTION):
            index = fitting[turn * len(fitting) // PROMPTS_PER_MOTION]
            color = held_out_colors(maker.subjects[index])[turn % 2]
            contents.append((index, motion, list(COLORS).index(color)))
    return contents


def trained_contents(maker: ClipMaker) -> list[Content]:
    """Each subject once, in a motion and on a plain colour or scene that training shows with it."""
    contents = []
    for index, subject in enumerate(maker.subjects):
        motions = allowed_motions(subject)
        grounds = [
            ground for ground in allowed_backgrounds(subject) if not BACKGROUNDS[ground].gradient or ground >= 30
        ]
        contents.append((index, motions[5 * index % len(motions)], grounds[7 * index % len(grounds)]))
    return contents


def share(values) -> float:
    return round(sum(values) / len(values), 4)


class Evaluation:
    """One model under test."""

    def __init__(self, source: Path, work: Path, steps: int, guidance: float, seed: int):
        self.pipeline = WanPipeline.from_pretrained(source)
        self.pipeline.set_progress_bar_config(disable=True)
        self.maker = ClipMaker(work)
        self.judge = Judge(self.maker)
        self.steps, self.guidance, self.seed = steps, guidance, seed

    def draw(self, prompts: list[str], seed: int | None = None) -> torch.Tensor:
        first = self.seed if seed is None else seed
        seeds = list(range(first, first + len(prompts)))
        return decode(self.pipeline, sample_latents(self.pipeline, prompts, seeds, self.steps, self.guidance))

    def prompts(self, contents: list[Content]) -> list[str]:
        return [plain_caption(self.maker.subjects[s], m, BACKGROUNDS[b]) for s, m, b in contents]

    def measure(self, contents: list[Content], clips: torch.Tensor) -> dict:
        """Shares of clips whose subject, background and motion are the prompted ones, and what the others show."""
        seen = [self.judge.see(clip) for clip in clips]
        subjects = [found.subject == s for found, (s, _, _) in zip(seen, contents, strict=True)]
        grounds = [
            background_name(found.background) == BACKGROUNDS[b].name
            for found, (_, _, b) in zip(seen, contents, strict=True)
        ]
        motions = [found.motion == MOTIONS[m] for found, (_, m, _) in zip(seen, contents, strict=True)]
        wrong = [
            {"prompt": prompt, "subject": self.maker.subjects[found.subject].names[0], "motion": found.motion}
            for prompt, found, right in zip(
                self.prompts(contents), seen, zip(subjects, motions, strict=True), strict=True
            )
            if not all(right)
        ]
        missed = Counter(MOTIONS[m] for (_, m, _), right in zip(contents, motions, strict=True) if not right)
        return {"clips": len(clips), "subject": share(subjects), "background": share(grounds)} | {
            "motion": share(motions),
            "all_three": share([all(row) for row in zip(subjects, grounds, motions, strict=True)]),
            "missed_motions": dict(missed),
            "wrong": wrong,
        }


def evaluate(evaluation: Evaluation, picture: Path | None) -> dict:
    maker = evaluation.maker
    report: dict = {"steps": evaluation.steps, "guidance_scale": evaluation.guidance, "seed": evaluation.seed}
    for name, contents in (("held_out", held_out_contents(maker)), ("trained", trained_contents(maker))):
        prompts = evaluation.prompts(contents)
        clips = evaluation.draw(prompts)
        report[name] = evaluation.measure(contents, clips)
        truth = maker.draw(*([row[part] for row in contents] for part in range(3)))
        report[name]["drawn_by_the_recipe"] = evaluation.measure(contents, truth)
        error = (clips - truth).square().mean((1, 2, 3, 4)) / 4
        report[name]["psnr"] = round(float((-10 * error.log10()).mean()), 2)
        print(name, {key: value for key, value in report[name].items() if not isinstance(value, list)}, flush=True)
        if picture and name == "held_out":
            sheet(clips).save(picture)
    report["held_out"]["prompts"] = evaluation.prompts(held_out_contents(maker))
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="diffusers folder that assemble.py --source wrote")
    parser.add_argument("--work", type=Path, default=Path("tools/.train"), help="folder of the training clips")
    parser.add_argument("--output", type=Path, help="also write the whole report here, as JSON")
    parser.add_argument("--picture", type=Path, help="also write the held-out clips here, a clip a row")
    parser.add_argument("--defaults", type=Path, help="generation_config.json to take steps and guidance from")
    parser.add_argument("--steps", type=int, default=12)
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
    report = evaluate(Evaluation(options.source, options.work, steps, guidance, options.seed), options.picture)
    text = json.dumps(report, indent=2, ensure_ascii=False)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
