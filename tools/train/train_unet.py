#!/usr/bin/env python3
"""Stage 3: trains the UNet on patch latents, with captions and SDXL's size conditions."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from train.captions import CaptionWriter, allowed_backgrounds
from train.latents import PatchCode, PictureMaker, to_tensor
from train.networks import (
    HIDDEN,
    LATENT_CHANNELS,
    MAX_TOKENS,
    PROJECTION,
    make_text_encoders,
    make_unet,
    text_conditions,
)
from train.noise import NoiseSchedule
from train.peers import Peers
from train.pictures import BACKGROUNDS
from train.session import Session, add_arguments, falling_rate
from train.subjects import Subject, load_subjects, shares
from train.tokens import Tokens
from train.train_vae import WEIGHTS as VAE_WEIGHTS

BATCH = 16
# How often an emoji of each kind is drawn.
WEIGHTS = {"most used": 8.0, "plain thing": 6.0, "other": 0.25}
# Where the subject lies: pixels to the right of the middle, in a picture of 64. Each place is another set of latents to
# learn, so more than one wants more training time.
SHIFTS = (0,)
PEAK_RATE = 2e-3
WARMUP_STEPS = 100
AVERAGE_DECAY, AVERAGE_STEPS = 0.9995, 5
# Without a caption the pipeline gives the UNet zeros, with an empty one what the encoders make of it: both are trained.
NO_CAPTION_SHARE, EMPTY_CAPTION_SHARE = 0.08, 0.04
# Captions are encoded once and used for several steps, each time with other noise; so many are new in each step.
POOL, NEW_PER_STEP = 1024, 2
LOG_STEPS = 50
CHECKPOINT_MINUTES = 3.0


class Pool:
    """Captioned pictures with their conditions, slowly renewed."""

    def __init__(self, options: argparse.Namespace, device: torch.device, random: np.random.Generator):
        self.subjects: list[Subject] = load_subjects()
        self.likely = shares(self.subjects, WEIGHTS)
        self.maker = PictureMaker(self.subjects, options.size)
        self.code = PatchCode.fit(self.maker, VAE_WEIGHTS, LATENT_CHANNELS)
        self.scale = options.size / 64
        self.tokens = Tokens(options.work)
        self.encoders = nn.ModuleList(make_text_encoders(self.tokens.vocabulary_size)).to(device).eval()
        self.encoders.load_state_dict(torch.load(options.work / "text.pt", map_location=device)["model"])
        self.writer = CaptionWriter(random)
        self.random, self.device = random, device
        self.latents = torch.zeros(POOL, LATENT_CHANNELS, options.size // 8, options.size // 8)
        self.hidden = torch.zeros(POOL, MAX_TOKENS, sum(HIDDEN), dtype=torch.bfloat16, device=device)
        self.pooled = torch.zeros(POOL, PROJECTION, device=device)
        for first in range(0, POOL, BATCH):
            self._renew(np.arange(first, min(POOL, first + BATCH)))

    @torch.no_grad()
    def _renew(self, rows: np.ndarray) -> None:
        pictures, captions = [], []
        for index in self.random.choice(len(self.subjects), len(rows), p=self.likely):
            subject = self.subjects[index]
            background = int(self.random.choice(allowed_backgrounds(subject)))
            shift = round(SHIFTS[self.random.integers(len(SHIFTS))] * self.scale)
            pictures.append(self.maker.draw(int(index), background, (0, shift)))
            captions.append(self.writer.write(subject, BACKGROUNDS[background])[0])
        empty = self.random.random(len(rows)) < EMPTY_CAPTION_SHARE
        captions = ["" if drop else caption for caption, drop in zip(captions, empty, strict=True)]
        ids = tuple(part.to(self.device) for part in self.tokens.ids(captions))
        hidden, pooled = text_conditions(self.encoders, ids)
        self.latents[rows] = self.code.encode(to_tensor(pictures))
        self.hidden[rows] = hidden.bfloat16()
        self.pooled[rows] = pooled

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents, hidden states and pooled embeddings of a batch; some without a caption."""
        self._renew(self.random.choice(POOL, NEW_PER_STEP, replace=False))
        rows = self.random.choice(POOL, BATCH, replace=False)
        has_caption = torch.from_numpy(self.random.random(BATCH) >= NO_CAPTION_SHARE).to(self.device)
        hidden = self.hidden[rows].float() * has_caption[:, None, None]
        return self.latents[rows].to(self.device), hidden, self.pooled[rows] * has_caption[:, None]


def update_average(average: dict[str, torch.Tensor], unet: nn.Module, step: int) -> None:
    """Exponential moving average of the weights, every few steps, with a shorter memory at the start."""
    if step % AVERAGE_STEPS != 0:
        return
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step)) ** AVERAGE_STEPS
    values = list(unet.state_dict().values())
    torch._foreach_lerp_(list(average.values()), values, 1 - decay)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=180)
    parser.add_argument("--peers", type=int, default=1, help="how many processes train together (default: 1)")
    parser.add_argument("--peer", type=int, default=0, help="which of them this is; 0 writes checkpoints and curve")
    options = parser.parse_args()
    session = Session("unet", options)
    torch.manual_seed(3)
    unet = make_unet(options.size).to(session.device).train()
    # For so few positions plain matrix products are faster than the fused kernel, above all backwards.
    unet.set_attn_processor(AttnProcessor())
    optimizer = torch.optim.AdamW(unet.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    if state := session.resume():
        unet.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    torch.manual_seed(1_000_000 * (options.peer + 1) + session.step)
    average = {name: value.clone() for name, value in (state["average"] if state else unet.state_dict()).items()}
    pool = Pool(options, session.device, np.random.default_rng((session.step, options.peer)))
    schedule = NoiseSchedule(session.device)
    peers = Peers(options.work / "unet-peers.bin", unet, options.peer, options.peers)
    # Strong components make the picture; the decoder guesses some of the weak ones from them.
    importance = 1 / pool.code.gain
    importance = (importance / importance.mean())[:, None, None].to(session.device)
    size_ids = torch.tensor([[options.size, options.size, 0, 0, options.size, options.size]], dtype=torch.float32)
    size_ids = size_ids.repeat(BATCH, 1).to(session.device)
    losses = []
    goes_on = session.progress < 1
    session.start()
    while goes_on:
        latents, hidden, pooled = pool.draw()
        timesteps, noisy, velocity = schedule.noise(latents)
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS, flat=0.5)
        with torch.autocast(session.device.type, torch.bfloat16):
            conditions = {"text_embeds": pooled, "time_ids": size_ids}
            found = unet(noisy, timesteps, hidden, added_cond_kwargs=conditions, return_dict=False)[0]
        loss = ((found.float() - velocity).square() * importance).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        peers.exchange(session.step)
        update_average(average, unet, session.step)
        losses.append(loss.item())
        goes_on = session.tick()
        if options.peer > 0:
            continue
        if session.step % LOG_STEPS == 0:
            session.log(loss=float(np.mean(losses)))
            losses.clear()
        if not goes_on or session.is_due(CHECKPOINT_MINUTES):
            state = {"model": unet.state_dict(), "average": average, "optimizer": optimizer.state_dict()}
            session.save(state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
