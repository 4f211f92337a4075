import type { Component } from "#pipelines/core/onnx.ts";
import { decoderPreview } from "#pipelines/diffusion/decoder-preview.ts";
import { imagePreview, type PreviewEncoder } from "#pipelines/diffusion/preview.ts";
import { latentRgbOf } from "./latent-rgb.ts";
import type { SdxlModelFolder } from "./model-folder.ts";

/** By the model's tiny decoder where it has one, else one pixel per latent; undefined where nothing is known of its latents. */
export function previewEncoder(model: SdxlModelFolder, tinyDecoder: Component | undefined): PreviewEncoder | undefined {
  const latentRgb = latentRgbOf(model);
  const approximate = latentRgb && imagePreview(latentRgb);
  const { vaeScaleFactor: scale, tinyDecoder: config } = model;
  if (tinyDecoder === undefined || config === undefined) return approximate;
  return decoderPreview({ component: tinyDecoder, scalingFactor: config.scalingFactor, scale }, approximate);
}
