#!/usr/bin/env python3
"""Stage 4: shows the VAE's decoder what the transformer really makes.

Latents that were sampled are a little off everywhere. A decoder that has met only latents of clips renders that as texture.
Here it draws the clips that were asked for from latents that the pipeline sampled for them.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from train.pictures import BACKGROUNDS, CELL
from train.session import Session, add_arguments, falling_rate
from train.wan.assemble import build_pipeline
from train.wan.captions import plain_caption
from train.wan.clips import ClipMaker
from train.wan.code import CELL_FRAMES, ClipCode
from train.wan.networks import LATENT_CHANNELS, decode_whole, train_whole
from train.wan.sample import sample_latents
from train.wan.train_text import draw_content
from train.wan.train_vae import LATENT_NOISE, PIECES, reconstruction_loss

BATCH = 4
DRAWINGS = 600
# Sampled once, in parts that are kept, so that a kill costs one part.
PART = 30
# Of these, the nearest to the clip that was asked for are used; the others may show something else.
NEAREST_SHARE = 0.7
# So many of each batch are still latents of clips, which clips that begin with a picture need.
TRUE_LATENTS = 1
PEAK_RATE = 3e-4
WARMUP_STEPS = 20
LOG_STEPS = 25
CHECKPOINT_MINUTES = 2.0


def sample_drawings(options: argparse.Namespace, maker: ClipMaker, code: ClipCode) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices `[DRAWINGS, 3]` of subjects, motions and backgrounds, and latents `[DRAWINGS, channels, …]` for them."""
    path = options.work / "wan-drawings.pt"
    kept = torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else {"wanted": [], "latents": []}
    pipeline = build_pipeline(options.work, code)
    while len(kept["wanted"]) * PART < DRAWINGS:
        part = len(kept["wanted"])
        wanted = draw_content(np.random.default_rng((7, part)), maker.subjects, PART)
        prompts = [plain_caption(maker.subjects[s], m, BACKGROUNDS[b]) for s, m, b in wanted]
        seeds = [1_000_000 + PART * part + place for place in range(PART)]
        kept["latents"].append(sample_latents(pipeline, prompts, seeds, options.steps, options.guidance))
        kept["wanted"].append(torch.tensor([[int(value) for value in row] for row in wanted]))
        torch.save(kept, path)
        print(f"sampled {PART * (part + 1)} of {DRAWINGS}", flush=True)
    return torch.cat(kept["wanted"]), torch.cat(kept["latents"])


def nearest(drawings: torch.Tensor, wanted: torch.Tensor, maker: ClipMaker, code: ClipCode) -> torch.Tensor:
    """Rows of the drawings that are nearest to the latents of the clips that were asked for."""
    scale = code.scale.view(-1, 1, 1, 1)
    errors = []
    for rows in torch.arange(len(drawings)).split(PART):
        true = code.encode(maker.draw(*(wanted[rows, part].numpy() for part in range(3)))) / scale
        errors.append((drawings[rows] - true).square().mean((1, 2, 3, 4)))
    return torch.cat(errors).argsort()[: int(NEAREST_SHARE * len(drawings))]


def cut_both(
    latents: torch.Tensor, clips: torch.Tensor, random: np.random.Generator, cells: int, side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A piece of each clip and its latents; all begin with the first frame, as the decoder always does."""
    pieces, targets = [], []
    for latent, clip in zip(latents, clips, strict=True):
        row, column = random.integers(latent.shape[-1] - side + 1, size=2).tolist()
        pieces.append(latent[:, :cells, row : row + side, column : column + side])
        place = (slice(CELL * row, CELL * (row + side)), slice(CELL * column, CELL * (column + side)))
        targets.append(clip[:, : CELL_FRAMES * (cells - 1) + 1, *place])
    return torch.stack(pieces), torch.stack(targets)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, minutes=15)
    parser.add_argument("--steps", type=int, default=12, help="steps to sample with (default: 12)")
    parser.add_argument("--guidance", type=float, default=2.0, help="guidance scale to sample with (default: 2)")
    options = parser.parse_args()
    session = Session("wan-decoder", options)
    torch.manual_seed(6 + session.step)
    maker = ClipMaker(options.work)
    code = ClipCode.load(options.work, maker, LATENT_CHANNELS)
    wanted, drawings = sample_drawings(options, maker, code)
    kept = nearest(drawings, wanted, maker, code)
    wanted, drawings = wanted[kept], drawings[kept]
    scale = code.scale.view(-1, 1, 1, 1)
    vae = train_whole(build_pipeline(options.work, code).vae).to(session.device).train()
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
        clips = maker.draw(*(wanted[rows, part].numpy() for part in range(3)))
        latents = drawings[rows] * scale
        true = code.encode(clips[:TRUE_LATENTS])
        latents[:TRUE_LATENTS] = true + LATENT_NOISE * scale * torch.rand(1) * torch.randn_like(true)
        given, target = cut_both(latents, clips, random, *PIECES[session.step % len(PIECES)])
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS)
        with torch.autocast(session.device.type, torch.bfloat16):
            result = decode_whole(vae, given.to(session.device))
        loss = reconstruction_loss(result.float(), target.to(session.device))
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
