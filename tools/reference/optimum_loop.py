"""Optimum's `ORTStableDiffusionXLPipeline`: how people run an exported SDXL from Python."""

import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from optimum.onnxruntime import ORTStableDiffusionXLPipeline


class OptimumSdxl:
    """The pipeline on the CPU, with the seconds that it spends inside ONNX Runtime."""

    def __init__(self, folder: Path, threads: int = 0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.pipeline = ORTStableDiffusionXLPipeline.from_pretrained(
            folder, provider="CPUExecutionProvider", session_options=options
        )
        self.pipeline.set_progress_bar_config(disable=True)
        self.run_seconds = 0.0
        parts = (self.pipeline.text_encoder, self.pipeline.text_encoder_2, self.pipeline.unet)
        for part in (*parts, self.pipeline.vae.decoder):
            part.session.run = self._timed(part.session.run)

    def _timed(self, run):
        def timed(*args, **kwargs):
            started = time.perf_counter()
            try:
                return run(*args, **kwargs)
            finally:
                self.run_seconds += time.perf_counter() - started

        return timed

    def generate(self, settings: dict) -> np.ndarray:
        """Draws one case (the keys of `reference.cases.Case`): 8-bit pictures, `[images, height, width, 3]`."""
        seeds = range(settings["seed"], settings["seed"] + settings["num_images"])
        images = self.pipeline(
            settings["prompt"],
            negative_prompt=settings["negative_prompt"],
            width=settings["width"],
            height=settings["height"],
            num_inference_steps=settings["steps"],
            guidance_scale=settings["guidance_scale"],
            num_images_per_prompt=settings["num_images"],
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        ).images
        return np.stack([np.asarray(image) for image in images])
