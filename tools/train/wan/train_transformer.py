#!/usr/bin/env python3
"""Stage 3: trains the transformer on patch latents, with captions."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from train.peers import Peers
from train.pictures import BACKGROUNDS
from train.session import Session, add_arguments, falling_rate
from train.train_unet import update_average
from train.wan import fast
from train.wan.begin import look_at_neighbours, mark_ends, prefer_captions
from train.wan.captions import ClipCaptionWriter
from train.wan.clips import ClipMaker
from train.wan.code import ClipCode
from train.wan.networks import LATENT_CHANNELS, TEXT_WIDTH, make_text_encoder, make_transformer
from train.wan.noise import draw_noise
from train.wan.tokens import load_tokenizer, token_ids
from train.wan.train_text import CAPTION_TOKENS, draw_content

BATCH = 32
PEAK_RATE = 1.5e-3
WARMUP_STEPS = 100
# Of the captions; what the model makes of none is what guidance leads away from.
EMPTY_SHARE = 0.1
# Captions are encoded once and used for several steps, each time with other noise; so many are new in each step.
POOL, NEW_PER_STEP = 1024, 4
# So often a step shows first frames alone: pictures are clips of one frame, and have fewer neighbours to look at.
PICTURE_EVERY = 8
LOG_STEPS = 25
CHECKPOINT_MINUTES = 3.0


class Pool:
    """Captioned clips as latents and hidden states, slowly renewed."""

    def __init__(self, work: Path, device: torch.device, random: np.random.Generator):
        self.maker = ClipMaker(work)
        self.code = ClipCode.load(work, self.maker, LATENT_CHANNELS)
        self.tokenizer = load_tokenizer(work)
        self.encoder = make_text_encoder(len(self.tokenizer)).to(device).eval()
        self.encoder.load_state_dict(torch.load(work / "wan-text.pt", map_location=device)["model"])
        self.writer, self.random, self.device = ClipCaptionWriter(random), random, device
        side, cells = self.maker.size // 8, (self.maker.frames + 3) // 4
        self.latents = torch.zeros(POOL, LATENT_CHANNELS, cells, side, side)
        # The last place is a padding's: it stays zero.
        self.hidden = torch.zeros(POOL, CAPTION_TOKENS + 1, TEXT_WIDTH, device=device)
        for first in range(0, POOL, 32):
            self._renew(np.arange(first, first + 32))
        self.empty = self._encode([""])[0]

    @torch.no_grad()
    def _encode(self, captions: list[str]) -> torch.Tensor:
        ids, mask = (part.to(self.device) for part in token_ids(self.tokenizer, captions, CAPTION_TOKENS))
        hidden = self.encoder(ids, mask).last_hidden_state * mask[..., None]
        return torch.cat([hidden, torch.zeros_like(hidden[:, :1])], 1)

    @torch.no_grad()
    def _renew(self, rows: np.ndarray) -> None:
        content = draw_content(self.random, self.maker.subjects, len(rows))
        captions = [self.writer.write(self.maker.subjects[s], m, BACKGROUNDS[b])[0] for s, m, b in content]
        clips = self.maker.draw(*(np.array(column) for column in zip(*content, strict=True)))
        self.latents[rows] = self.code.encode(clips) / self.code.scale.view(-1, 1, 1, 1)
        self.hidden[rows] = self._encode(captions)

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents and hidden states of a batch; some of an empty caption."""
        self._renew(self.random.choice(POOL, NEW_PER_STEP, replace=False))
        rows = self.random.choice(POOL, BATCH, replace=False)
        hidden = self.hidden[rows]
        hidden[torch.from_numpy(self.random.random(BATCH) < EMPTY_SHARE)] = self.empty
        return self.latents[rows].to(self.device), hidden


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=80)
    parser.add_argument("--peers", type=int, default=1, help="how many processes train together (default: 1)")
    parser.add_argument("--peer", type=int, default=0, help="which of them this is; 0 writes checkpoints and curve")
    options = parser.parse_args()
    session = Session("wan-transformer", options)
    torch.manual_seed(3)
    transformer = make_transformer().to(session.device).train()
    look_at_neighbours(transformer.blocks[1:4])
    prefer_captions(transformer)
    mark_ends(transformer)
    optimizer = torch.optim.AdamW(
        transformer.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    if state := session.resume():
        transformer.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    torch.manual_seed(1_000_000 * (options.peer + 1) + session.step)
    average = {name: value.clone() for name, value in (state["average"] if state else transformer.state_dict()).items()}
    pool = Pool(options.work, session.device, np.random.default_rng((session.step, options.peer)))
    peers = Peers(options.work / "wan-peers.bin", transformer, options.peer, options.peers)
    bias = fast.padding_bias(CAPTION_TOKENS + 1, session.device)
    # Strong components make the picture; the decoder guesses some of the weak ones from them.
    importance = 1 / pool.code.scale
    importance = (importance / importance.mean()).view(-1, 1, 1, 1).to(session.device)
    losses = []
    goes_on = session.progress < 1
    session.start()
    while goes_on:
        latents, hidden = pool.draw()
        if session.step % PICTURE_EVERY == 0:
            latents = latents[:, :, :1]
        timesteps, noisy, velocity = draw_noise(latents)
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(PEAK_RATE, session, WARMUP_STEPS, flat=0.5)
        found = fast.forward(transformer, noisy, timesteps, hidden, bias)
        loss = ((found - velocity).square() * importance).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(transformer.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        peers.exchange(session.step)
        update_average(average, transformer, session.step)
        losses.append(loss.item())
        goes_on = session.tick()
        if options.peer > 0:
            continue
        if session.step % LOG_STEPS == 0:
            session.log(loss=float(np.mean(losses)))
            losses.clear()
        if not goes_on or session.is_due(CHECKPOINT_MINUTES):
            state = {"model": transformer.state_dict(), "average": average, "optimizer": optimizer.state_dict()}
            session.save(state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
