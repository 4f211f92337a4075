"""Which runs of which schedulers the golden tests compare."""

import torch

STEPS = (8, 15, 25, 50)

SDXL = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
LEADING = {"timestep_spacing": "leading", "steps_offset": 1}
LINSPACE = {"timestep_spacing": "linspace"}
TRAILING = {"timestep_spacing": "trailing"}
SPACINGS = (LEADING, LINSPACE, TRAILING)
BETAS = ({"beta_schedule": "linear"}, {"beta_schedule": "squaredcos_cap_v2"})
SPREAD = ({"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True})
V = {"prediction_type": "v_prediction"}
SAMPLE = {"prediction_type": "sample"}
ZERO_SNR = {"rescale_betas_zero_snr": True} | TRAILING | V
THRESHOLD = {"thresholding": True, "dynamic_thresholding_ratio": 0.9, "sample_max_value": 1.5}
CLIP = {"clip_sample": True, "clip_sample_range": 1.2}
NO_CLIP = {"clip_sample": False}
TRAINED = {
    "num_train_timesteps": 60,
    "trained_betas": [round(0.001 + 0.0015 * index, 6) for index in range(60)],
}

# By class: what is added to SDXL's config. A key that begins with "_" is no part of the config.
VARIANTS: dict[str, list[dict]] = {
    "EulerDiscreteScheduler": [
        *SPACINGS,
        *BETAS,
        *SPREAD,
        V,
        SAMPLE,
        ZERO_SNR,
        TRAINED,
        {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
        {"use_beta_sigmas": True, "sigma_min": 0.05, "sigma_max": 12.0},
        {"timestep_type": "continuous"} | V,
        {"interpolation_type": "log_linear"},
        LEADING | {"_begin": 0.6},
    ],
    "EulerAncestralDiscreteScheduler": [*SPACINGS, *BETAS, V, ZERO_SNR, TRAINED, LEADING | {"_begin": 0.6}],
    "DDIMScheduler": [
        *(NO_CLIP | spacing for spacing in SPACINGS),
        *(NO_CLIP | betas for betas in BETAS),
        NO_CLIP | V,
        NO_CLIP | SAMPLE,
        NO_CLIP | ZERO_SNR,
        NO_CLIP | TRAINED,
        CLIP,
        SAMPLE | CLIP,
        THRESHOLD,
        NO_CLIP | {"set_alpha_to_one": False},
        *(NO_CLIP | {"_eta": eta} for eta in (0.3, 1.0)),
        {"set_alpha_to_one": False, "_eta": 1.0} | CLIP,
        NO_CLIP | LEADING | {"_begin": 0.6, "_eta": 0.5},
    ],
    "DDPMScheduler": [
        *(NO_CLIP | spacing for spacing in SPACINGS),
        NO_CLIP | V,
        NO_CLIP | ZERO_SNR,
        CLIP,
        THRESHOLD,
        *(NO_CLIP | {"variance_type": name} for name in ("fixed_small_log", "fixed_large")),
        *(NO_CLIP | {"beta_schedule": name} for name in ("sigmoid", "laplace", "squaredcos_cap_v2")),
        NO_CLIP | {"_begin": 0.5},
    ],
    "DPMSolverMultistepScheduler": [
        *SPACINGS,
        *BETAS,
        *SPREAD,
        {"use_lu_lambdas": True},
        V,
        SAMPLE,
        ZERO_SNR,
        TRAINED,
        THRESHOLD,
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_type": "heun"},
        {"lower_order_final": False},
        {"euler_at_final": True, "final_sigmas_type": "sigma_min"},
        {"solver_order": 3, "use_karras_sigmas": True},
        {"use_karras_sigmas": True, "beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        {"lambda_min_clipped": -3.0, "solver_order": 3},
        *({"algorithm_type": "sde-dpmsolver++"} | spacing for spacing in SPACINGS),
        *({"algorithm_type": "sde-dpmsolver++"} | spread for spread in SPREAD),
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 1},
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3},
        {"algorithm_type": "sde-dpmsolver++", "solver_order": 3, "use_karras_sigmas": True},
        {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"} | V,
        *(
            {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"} | more
            for more in ({}, V, SAMPLE, THRESHOLD, {"solver_order": 3}, {"solver_type": "heun"})
        ),
        *(
            {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"} | more
            for more in ({}, V, {"solver_type": "heun"}, {"solver_order": 1})
        ),
        {"_begin": 0.6},
        {"_begin": 0.5, "solver_order": 3, "algorithm_type": "sde-dpmsolver++"},
    ],
    "DPMSolverSinglestepScheduler": [
        {},
        *BETAS,
        *SPREAD,
        V,
        SAMPLE,
        TRAINED,
        THRESHOLD,
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_type": "heun"},
        {"solver_order": 3, "solver_type": "heun"},
        {"final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min", "lower_order_final": True},
        {"final_sigmas_type": "sigma_min", "solver_order": 3},
        {"final_sigmas_type": "sigma_min", "solver_order": 3, "lower_order_final": True, "use_karras_sigmas": True},
        {"lambda_min_clipped": -3.0},
        *(
            {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"} | more
            for more in ({}, V, SAMPLE, {"solver_order": 3}, {"solver_type": "heun"})
        ),
        {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "solver_order": 3, "solver_type": "heun"},
        *(
            {"algorithm_type": "sde-dpmsolver++"} | more
            for more in ({}, {"solver_type": "heun"}, {"solver_order": 3}, {"solver_order": 3, "solver_type": "heun"})
        ),
        {"_begin": 0.6},
        {"_begin": 0.5, "solver_order": 3, "algorithm_type": "sde-dpmsolver++"},
    ],
    "UniPCMultistepScheduler": [
        *SPACINGS,
        *BETAS,
        *SPREAD,
        V,
        SAMPLE,
        ZERO_SNR,
        TRAINED,
        THRESHOLD,
        {"solver_order": 1},
        {"solver_order": 3},
        {"final_sigmas_type": "sigma_min", "solver_type": "bh1"},
        {"final_sigmas_type": "sigma_min", "solver_type": "bh1", "solver_order": 3},
        {"final_sigmas_type": "sigma_min", "predict_x0": False},
        {"final_sigmas_type": "sigma_min", "predict_x0": False, "solver_order": 3} | V,
        {"disable_corrector": [0, 2, 3]},
        {"use_karras_sigmas": True, "sigma_min": 0.05, "sigma_max": 12.0},
        {"_begin": 0.6},
        {"_begin": 0.5, "solver_order": 3, "use_karras_sigmas": True},
    ],
    "HeunDiscreteScheduler": [
        *SPACINGS,
        *BETAS,
        {"beta_schedule": "exp"},
        *SPREAD,
        V,
        SAMPLE,
        CLIP,
        TRAINED,
        {"_begin": 0.6},
    ],
    "KDPM2DiscreteScheduler": [*SPACINGS, *BETAS, *SPREAD, V, TRAINED, {"_begin": 0.6}],
    "KDPM2AncestralDiscreteScheduler": [*SPACINGS, *BETAS, *SPREAD, V, TRAINED, {"_begin": 0.6}],
    "DPMSolverSDEScheduler": [*SPACINGS, *BETAS, *SPREAD, V, TRAINED, {"_begin": 0.6}],
    "LMSDiscreteScheduler": [*SPACINGS, *BETAS, *SPREAD, V, SAMPLE, TRAINED, {"_begin": 0.6}],
    "PNDMScheduler": [
        *(spacing | {"skip_prk_steps": True} for spacing in SPACINGS),
        *SPACINGS[:2],
        {"skip_prk_steps": True, "set_alpha_to_one": True},
        {"skip_prk_steps": True} | V,
        V,
        {"skip_prk_steps": True} | BETAS[0],
        {"skip_prk_steps": True, "_begin": 0.6},
    ],
    "LCMScheduler": [
        {},
        *BETAS,
        V,
        SAMPLE,
        CLIP,
        THRESHOLD,
        {"original_inference_steps": 100},
        {"timestep_scaling": 1.0},
        ZERO_SNR,
        {"_begin": 0.5},
    ],
    "TCDScheduler": [
        {},
        V,
        SAMPLE,
        ZERO_SNR,
        {"original_inference_steps": 100},
        *({"_eta": eta} for eta in (0.3, 1.0)),
        {"_eta": 0.3} | V,
        {"_begin": 0.5, "_eta": 0.3},
    ],
}


def scheduler_cases() -> list[dict]:
    """`class_name`, `config`, `steps`, and where they are used `eta` and `begin`, the first inference step that runs."""
    cases = []
    for class_name, variants in VARIANTS.items():
        for variant in variants:
            for steps in STEPS:
                case = {"class_name": class_name, "config": SDXL | _public(variant), "steps": steps}
                if "_eta" in variant:
                    case["eta"] = variant["_eta"]
                if "_begin" in variant:
                    case["begin"] = int(steps * variant["_begin"])
                cases.append(case)
    return cases


def _public(variant: dict) -> dict:
    return {key: value for key, value in variant.items() if not key.startswith("_")}


torch.set_num_threads(1)
