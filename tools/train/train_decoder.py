#!/usr/bin/env python3
"""Stage 4: shows the VAE's decoder what the UNet really makes.

Latents that were sampled are a little off everywhere: some noise is left, and details are softer than they should be. A
decoder that has met only latents of pictures renders that as texture. Here it draws the pictures that were asked for from
latents that the pipeline sampled for them.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from train.assemble import build_pipeline
from train.captions import allowed_backgrounds, explicit_caption
from train.latents import PatchCode, PictureMaker, to_tensor
from train.networks import LATENT_CHANNELS
from train.pictures import BACKGROUNDS, CELL
from train.sample import sample_latents
from train.session import Session, add_arguments, falling_rate
from train.subjects import load_subjects, shares
from train.train_vae import LATENT_NOISE, WEIGHTS, cut, random_places, reconstruction_loss

BATCH = 16
DRAWINGS = 1200
# Sampled once, in parts that are kept, so that a kill costs one part.
PART = 100
# So many of each batch are still latents of pictures, which image to image needs.
TRUE_LATENTS = 4
PEAK_RATE = 1e-3
WARMUP_STEPS = 20
LOG_STEPS = 50
CHECKPOINT_MINUTES = 2.0


def sample_drawings(options: argparse.Namespace, maker: PictureMaker) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices `[DRAWINGS, 2]` of subjects and backgrounds, and latents `[DRAWINGS, channels, …]` sampled for them."""
    path = options.work / "drawings.pt"
    kept = torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else {"wanted": [], "latents": []}
    pipeline = build_pipeline(options.work, options.size).to(options.device)
    likely = shares(maker.subjects, WEIGHTS)
    while len(kept["wanted"]) * PART < DRAWINGS:
        part = len(kept["wanted"])
        random = np.random.default_rng((7, part))
        subjects = random.choice(len(maker.subjects), PART, p=likely)
        wanted = [(int(index), int(random.choice(allowed_backgrounds(maker.subjects[index])))) for index in subjects]
        prompts = [explicit_caption(maker.subjects[index], BACKGROUNDS[background]) for index, background in wanted]
        seeds = [1_000_000 + PART * part + place for place in range(PART)]
        latents = sample_latents(pipeline, prompts, seeds, options.steps, options.guidance).cpu()
        kept["wanted"].append(torch.tensor(wanted))
        kept["latents"].append(latents)
        torch.save(kept, path)
        print(f"sampled {PART * (part + 1)} of {DRAWINGS}", flush=True)
    return torch.cat(kept["wanted"]), torch.cat(kept["latents"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, minutes=10)
    parser.add_argument("--steps", type=int, default=15, help="steps to sample with (default: 15)")
    parser.add_argument("--guidance", type=float, default=2.0, help="guidance scale to sample with (default: 2)")
    options = parser.parse_args()
    session = Session("decoder", options)
    torch.manual_seed(6 + session.step)
    maker = PictureMaker(load_subjects(), options.size)
    code = PatchCode.fit(maker, WEIGHTS, LATENT_CHANNELS)
    wanted, drawings = sample_drawings(options, maker)
    vae = build_pipeline(options.work, options.size).vae.to(session.device).train()
    parameters = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    if state := session.resume():
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    random = np.random.default_rng((session.step, 6))
    losses = []
    goes_on = session.progress < 1
    session.start()
    while goes_on:
        rows = random.choice(len(drawings), BATCH, replace=False)
        pictures = to_tensor([maker.draw(*wanted[row].tolist(), (0, 0)) for row in rows])
        latents = drawings[rows]
        true = code.encode(pictures[:TRUE_LATENTS])
        latents[:TRUE_LATENTS] = true + LATENT_NOISE * torch.randn_like(true)
        places = random_places(random, BATCH, options.size)
        given = cut(latents, places, 1).to(session.device)
        target = cut(pictures, places, CELL).to(session.device)
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS)
        with torch.autocast(session.device.type, torch.bfloat16):
            result = vae.decode(given).sample
        loss = reconstruction_loss(result.float(), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        goes_on = session.tick()
        if session.step % LOG_STEPS == 0:
            session.log(decoder=float(np.mean(losses)))
            losses.clear()
        if not goes_on or session.is_due(CHECKPOINT_MINUTES):
            session.save({"model": vae.state_dict(), "optimizer": optimizer.state_dict()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
