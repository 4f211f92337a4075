import { prepareAnchor } from "./anchor.ts";
import type { ClipShape } from "./clip-shape.ts";
import type { WanCondition } from "./condition.ts";
import type { Conditioning, ConditionParts } from "./conditioning.ts";
import { conditionOnFrames } from "./given-frames.ts";
import { prepareVace } from "./vace/prepare-vace.ts";

/**
 * Encodes what the clip is made from. The model can do it, see `checkCondition`.
 * @throws PipelineError UNSUPPORTED_OPTION, INVALID_JOB, NUMERICAL_ERROR; the signal's reason
 */
export async function prepareConditioning(
  parts: ConditionParts,
  shape: ClipShape,
  condition: WanCondition | undefined,
): Promise<Conditioning> {
  if (condition === undefined) return controlWithout(parts, shape);
  switch (condition.kind) {
    case "frames":
      return conditionOnFrames(parts, shape, condition);
    case "anchor":
      return { ...(await controlWithout(parts, shape)), ...(await prepareAnchor(parts, shape, condition)) };
    case "vace":
      return prepareVace(parts, shape, condition);
  }
}

/** VACE's transformers read a control at every step; without one, that of a clip of which nothing is known. */
function controlWithout(parts: ConditionParts, shape: ClipShape): Promise<Conditioning> | Conditioning {
  return parts.model.controlLayers === 0 ? {} : prepareVace(parts, shape, { kind: "vace" });
}
