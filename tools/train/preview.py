#!/usr/bin/env python3
"""Draws a grid from the newest checkpoints and says how many emoji in it are recognised: a look at progress."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from PIL import Image

from train.assemble import build_pipeline
from train.captions import allowed_backgrounds, with_article
from train.latents import PatchCode, PictureMaker
from train.nearest import Matcher
from train.networks import LATENT_CHANNELS
from train.pictures import BACKGROUNDS, COLORS
from train.sample import decode, sample_latents
from train.session import PICTURE_SIZE
from train.subjects import load_subjects
from train.train_unet import SHIFTS
from train.train_vae import WEIGHTS

COLUMNS = 12


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="PNG file to write")
    parser.add_argument("--work", type=Path, default=Path("tools/.train"), help="folder of the checkpoints")
    parser.add_argument("--size", type=int, default=PICTURE_SIZE)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--linear", action="store_true", help="decode without the VAE, by the linear patch code")
    parser.add_argument("--prompts", nargs="*", help="draw these instead of the most used emoji")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    maker = PictureMaker(load_subjects(), options.size)
    pipeline = build_pipeline(options.work, options.size)
    chosen = [subject for subject in maker.subjects if subject.kind == "most used"]
    chosen += [subject for subject in maker.subjects if subject.kind == "plain thing"]
    wanted = []
    for subject in chosen:
        plain = [index for index in allowed_backgrounds(subject) if index < len(COLORS)]
        wanted.append(plain[subject.index % len(plain)])
    prompts = options.prompts or [
        f"{with_article(subject.names[0])} on a {BACKGROUNDS[background].name} background"
        for subject, background in zip(chosen, wanted, strict=True)
    ]
    latents = sample_latents(pipeline, prompts, list(range(len(prompts))), options.steps, options.guidance)
    if options.linear:
        pictures = PatchCode.fit(maker, WEIGHTS, LATENT_CHANNELS).decode(latents).clamp(-1, 1)
    else:
        pictures = decode(pipeline, latents)
    if not options.prompts:
        matcher = Matcher(maker, options.size, SHIFTS)
        matches = [matcher.match(picture) for picture in pictures]
        for kind in ("most used", "plain thing"):
            rows = [index for index, subject in enumerate(chosen) if subject.kind == kind]
            right = sum(matches[row].subject == chosen[row].index for row in rows) / len(rows)
            colors = sum(BACKGROUNDS[matches[row].background].name == BACKGROUNDS[wanted[row]].name for row in rows)
            print(f"{kind}: subject {right:.2f}, background {colors / len(rows):.2f}")
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * options.size, rows * options.size))
    for index, picture in enumerate(pictures):
        place = (index % COLUMNS * options.size, index // COLUMNS * options.size)
        sheet.paste(Image.fromarray(((picture + 1) * 127.5).byte().permute(1, 2, 0).numpy()), place)
    sheet.save(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
