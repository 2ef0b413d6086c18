"""The options that each engine honours, known without loading the engine."""

from __future__ import annotations

LITE_CONTROLS = frozenset({"blink", "head_motion", "mouth", "smile", "gaze_x", "gaze_y"})
LITE = LITE_CONTROLS | {"landmarks", "background", "phones", "video", "fps", "longer", "shorter", "keep_background"}
LITE_PHOTO_ONLY = LITE_CONTROLS - {"mouth", "smile"}

DITTO_FRAMING = frozenset({"max_size", "template_n_frames", "crop_scale", "crop_vx_ratio", "crop_vy_ratio", "crop_flag_do_rot", "smo_k_s"})
DITTO_CONTROLS = frozenset(
    {
        "emo", "eye_f0_mode", "ch_info", "use_d_keys", "relative_d", "drive_eye", "delta_eye_arr", "delta_eye_open_n", "fade_type",
        "fade_out_keys", "fade_in", "fade_out", "flag_stitching", "ctrl_info", "overall_ctrl_info",
    }
)  # fmt: skip
DITTO_RENDER = frozenset(
    {
        "online_mode", "overlap_v2", "context_frames", "emit_tail", "sampling_timesteps", "smo_k_d", "fix_kp_cond", "fix_kp_cond_dim",
        "v_min_max_for_clip", "N_d",
    }
)  # fmt: skip
DITTO = DITTO_FRAMING | DITTO_CONTROLS | DITTO_RENDER | {"video", "longer", "shorter", "keep_background"}

CAPABILITIES = {"lite": LITE, "ditto": DITTO}
"""By the engine's name."""
PHOTO_ONLY = {"lite": LITE_PHOTO_ONLY, "ditto": frozenset[str]()}
"""By the engine's name: those of them that it does not honour of a video."""
