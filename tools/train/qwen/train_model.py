"""Trains the small language model: short ideas to fuller prompts, and a few answers. Fifty minutes on one core."""

import sys
from argparse import ArgumentParser
from copy import deepcopy
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch.nn.functional import cross_entropy
from train.qwen.network import make_model
from train.qwen.texts import END_TEXT, END_TURN, Batch, TextWriter
from train.qwen.tokens import encode, load_tokenizer
from train.session import Session, add_arguments, falling_rate
from transformers import DynamicCache

BATCH, GROUPS = 32, 3
MATRIX_RATE, OTHER_RATE, WARMUP_STEPS = 0.02, 0.004, 40
AVERAGE = 0.99
SAVE_MINUTES, LOG_STEPS = 3, 25


def padded(rows: list[tuple[list[int], list[bool]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids `[rows, length]`, and where the next token is learned `[rows, length - 1]`."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    learned = torch.zeros(len(rows), length, dtype=torch.bool)
    for row, (tokens, flags) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        learned[row, : len(flags)] = torch.tensor(flags)
    return ids, learned[:, 1:]


def batch_loss(model, tokenizer, batch: Batch) -> tuple[torch.Tensor, float]:
    """Mean loss of the learned tokens, and the share of them that greedy generation would get right.

    The beginning is read once for all texts, which go through the model in groups of like length.
    """
    before = tokenizer.encode(batch.before).ids
    beginning = DynamicCache(config=model.config)
    if before:
        model.model(input_ids=torch.tensor([before]), past_key_values=beginning, use_cache=True)
    rows = sorted((encode(tokenizer, pieces) for pieces in batch.texts), key=lambda row: len(row[0]))
    size = -(-len(rows) // GROUPS)
    logits, expected = [], []
    for start in range(0, len(rows), size):
        ids, learned = padded(rows[start : start + size])
        cache = DynamicCache(config=model.config) if before else None
        if cache is not None:
            for index, layer in enumerate(beginning.layers):
                cache.update(*(part.expand(len(ids), -1, -1, -1) for part in (layer.keys, layer.values)), index)
        hidden = model.model(
            input_ids=ids[:, :-1], past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        logits.append(model.lm_head(hidden[learned]))
        expected.append(ids[:, 1:][learned])
    scores, tokens = torch.cat(logits), torch.cat(expected)
    return cross_entropy(scores, tokens), (scores.detach().argmax(-1) == tokens).float().mean().item()


def optimizers(model) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings, norms and biases."""
    matrices = [value for name, value in model.named_parameters() if value.ndim == 2 and "embed" not in name]
    others = [value for name, value in model.named_parameters() if value.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.01, adjust_lr_fn="original"),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train() -> None:
    parser = ArgumentParser(description=__doc__)
    add_arguments(parser, minutes=50)
    options = parser.parse_args()
    session = Session("qwen", options)
    tokenizer = load_tokenizer(options.work / "qwen-tokenizer.json")
    torch.manual_seed(0)
    model = make_model(tokenizer.token_to_id(END_TEXT), tokenizer.token_to_id(END_TURN))
    average = deepcopy(model)
    steppers = optimizers(model)
    if state := session.resume():
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        for stepper, saved in zip(steppers, state["optimizers"], strict=True):
            stepper.load_state_dict(saved)
    print(f"{sum(value.numel() for value in model.parameters()) / 1e6:.2f} million parameters", flush=True)
    writer = TextWriter(1000 + session.step)
    losses: list[float] = []
    rights: list[float] = []

    def save() -> None:
        session.save(
            {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizers": [stepper.state_dict() for stepper in steppers],
            }
        )

    session.start()
    while True:
        loss, right = batch_loss(model, tokenizer, writer.batch(BATCH))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper, peak in zip(steppers, (MATRIX_RATE, OTHER_RATE), strict=True):
            for group in stepper.param_groups:
                group["lr"] = falling_rate(peak, session, WARMUP_STEPS)
            stepper.step()
            stepper.zero_grad()
        with torch.no_grad():
            decay = min(AVERAGE, session.step / (session.step + 10))
            for mean, value in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
        losses.append(loss.item())
        rights.append(right)
        goes_on = session.tick()
        if session.step % LOG_STEPS == 0:
            session.log(loss=sum(losses) / len(losses), right=sum(rights) / len(rights))
            losses, rights = [], []
        if not goes_on or session.is_due(SAVE_MINUTES):
            save()
        if not goes_on:
            return


if __name__ == "__main__":
    train()
