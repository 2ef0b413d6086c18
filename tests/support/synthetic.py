"""Deterministic synthetic weights and inputs for the Ditto networks (numpy only).

ALGORITHM (precise enough to re-implement in any language)
----------------------------------------------------------
Raw stream.  For a string `name` and an integer `seed`:
    gen = numpy.random.Generator(numpy.random.PCG64(numpy.random.SeedSequence([zlib.crc32(name.encode("utf-8")), seed])))
    r   = gen.random(n)            # n = prod(shape) doubles, each (next_uint64 >> 11) * 2**-53, C order
    s   = 2*r - 1                  # float64, uniform in [-1, 1)
Only this uniform stream is used (no ziggurat normals), so it is stable across numpy versions.
All arithmetic is float64; the result is cast once to float32 (round to nearest even).

Weights.  name = f"{model}/{key}", `key` = the state-dict key as the network sees it (after any "module."
prefix was removed), `model` one of appearance_extractor, motion_extractor, warp_network, decoder,
stitch_network, lmdm.  last = part of the key after the last ".".  First matching rule wins:
  1. last == "num_batches_tracked"        -> int64 scalar 1
  2. last == "freqs" (rotary buffer, n=256) -> NOT random: e_i = float32(2i)/float32(2n); p_i = float32(10000.0**float64(e_i));
                                             freqs_i = float32(1)/p_i (float32 division).  May differ from torch's own table by 1 ulp.
  3. last == "running_mean"               -> 0.1*s
  4. last == "running_var"                -> 1.0 + 0.5*s
  5. last == "weight_u" / "weight_v"      -> see "Spectral norm"
  6. last in {"gamma","beta"} (GRN)       -> 0.2*s
  7. last starts with "null_cond"         -> sqrt(3)*s
  8. last == "bias" or "in_proj_bias"     -> 0.1*s
  9. ndim == 1 (norm gains)               -> 1.0 + 0.2*s
 10. everything else (ndim >= 2: conv / linear / weight_orig / in_proj_weight)
        fan_in = prod(shape[1:]);  value = GAIN(model,key) * sqrt(3/fan_in) * s        (std = GAIN/sqrt(fan_in))
GAIN(model,key): appearance_extractor 1.4, motion_extractor 1.0, warp_network 1.4, decoder 1.0, stitch_network 1.0,
lmdm 1.0, with these per-key overrides (longest listed suffix/prefix match):
     warp_network  "dense_motion_network.mask.weight" 3.0
     decoder       "conv_img.0.weight" 0.5
     appearance_extractor  keys starting with "resblocks_3d." 0.6;  "second.weight" 1.0
     lmdm          keys containing "in_proj_weight" 1.5
Row scaling, applied last (after rules 8/10), multiplies row i (axis 0) of weight AND bias:
     motion_extractor "detector.fc_kp.*"    0.25        "detector.fc_exp.*" 0.05      "detector.fc_t.*" 0.1
                      "detector.fc_scale.*" 0.1 then bias += 1.2
                      "detector.fc_pitch/yaw/roll.*" 3.0
     lmdm "final_layer.*"  row 0: 0.005, rows 1..198: 0.15, rows 199..201: 0.005, rows 202..264: 0.005
     stitch_network "mlp.6.*" 0.05

Spectral norm (decoder).  For each base with "base.weight_orig" (rule 10): W = float32 weight_orig reshaped
(shape[0], -1), promoted to float64.  u0 = s(name=f"{model}/{base}.weight_u", n=shape[0]) / ||.||2.  Repeat 15x:
v = W^T u / max(||W^T u||, 1e-12);  u = W v / max(||W v||, 1e-12).   weight_u = float32(u), weight_v = float32(v).
(u is updated last, as torch does.)  At inference weight = weight_orig / (u . (W v)).

Inputs.  synthetic_input(name, shape, seed, lo, hi) = float32(lo + (hi-lo)*r) with the stream of "input/" + name.
synthetic_normal(name, shape, seed): standard normals by Box-Muller on the stream of "normal/" + name:
    n even-padded to 2m; r1 = first m doubles, r2 = next m;  rad = sqrt(-2*log(1 - r1)); ang = 2*pi*r2;
    values = concat(rad*cos(ang), rad*sin(ang))[:n] -> float32, reshaped C order.
"""

import zlib

import numpy as np

_GAIN = {"appearance_extractor": 1.4, "motion_extractor": 1.0, "warp_network": 1.4, "decoder": 1.0, "stitch_network": 1.0, "lmdm": 1.0}


def raw_stream(name, n, seed):
    ss = np.random.SeedSequence([zlib.crc32(name.encode("utf-8")), int(seed)])
    return np.random.Generator(np.random.PCG64(ss)).random(int(n))


def _gain(model, key):
    if model == "warp_network" and key == "dense_motion_network.mask.weight":
        return 3.0
    if model == "decoder" and key == "conv_img.0.weight":
        return 0.5
    if model == "appearance_extractor" and key.startswith("resblocks_3d."):
        return 0.6
    if model == "appearance_extractor" and key == "second.weight":
        return 1.0
    if model == "lmdm" and "in_proj_weight" in key:
        return 1.5
    return _GAIN[model]


def _row_scale(model, key, n_rows):
    stem = key.rsplit(".", 1)[0]
    if model == "motion_extractor":
        one = {
            "detector.fc_kp": 0.25,
            "detector.fc_exp": 0.05,
            "detector.fc_t": 0.1,
            "detector.fc_scale": 0.1,
            "detector.fc_pitch": 3.0,
            "detector.fc_yaw": 3.0,
            "detector.fc_roll": 3.0,
        }.get(stem)
        return None if one is None else np.full(n_rows, one)
    if model == "stitch_network" and stem == "mlp.6":
        return np.full(n_rows, 0.05)
    if model == "lmdm" and stem == "final_layer":
        rs = np.full(n_rows, 0.005)
        rs[1:199] = 0.15
        return rs
    return None


def synthetic_tensor(key, shape, seed, model):
    """One tensor by rules 1-4, 6-10 (not weight_u/weight_v, which need weight_orig: see spectral_uv)."""
    shape = tuple(int(d) for d in shape)
    n = int(np.prod(shape)) if shape else 1
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.array(1, dtype=np.int64)
    if last == "freqs":
        e = (np.arange(n, dtype=np.float32) * np.float32(2)) / np.float32(2 * n)
        return (np.float32(1.0) / np.power(10000.0, e.astype(np.float64)).astype(np.float32)).astype(np.float32)
    if last in ("weight_u", "weight_v"):
        raise ValueError("use spectral_uv for " + key)
    s = (2.0 * raw_stream(f"{model}/{key}", n, seed) - 1.0).reshape(shape)
    if last == "running_mean":
        return (0.1 * s).astype(np.float32)
    if last == "running_var":
        return (1.0 + 0.5 * s).astype(np.float32)
    if last in ("gamma", "beta"):
        return (0.2 * s).astype(np.float32)
    if last.startswith("null_cond"):
        return (np.sqrt(3.0) * s).astype(np.float32)
    if last in ("bias", "in_proj_bias"):
        out = 0.1 * s
    elif len(shape) == 1:
        return (1.0 + 0.2 * s).astype(np.float32)
    else:
        out = _gain(model, key) * np.sqrt(3.0 / float(np.prod(shape[1:]))) * s
    rs = _row_scale(model, key, shape[0])
    if rs is not None:
        out = out * rs.reshape((-1,) + (1,) * (len(shape) - 1))
        if model == "motion_extractor" and key == "detector.fc_scale.bias":
            out = out + 1.2
    return out.astype(np.float32)


def spectral_uv(weight_orig, base, seed, model, iters=15):
    W = np.asarray(weight_orig, dtype=np.float32).reshape(weight_orig.shape[0], -1).astype(np.float64)
    u = 2.0 * raw_stream(f"{model}/{base}.weight_u", W.shape[0], seed) - 1.0
    u = u / np.linalg.norm(u)
    for _ in range(iters):
        v = W.T @ u
        v = v / max(np.linalg.norm(v), 1e-12)
        u = W @ v
        u = u / max(np.linalg.norm(u), 1e-12)
    return u.astype(np.float32), v.astype(np.float32)


def fill_state_dict(module_or_manifest, seed, model):
    """module_or_manifest: torch Module, or {key: shape}, or {key: {"shape": [...]}}.  Returns {key: np.ndarray}.
    For lmdm pass the inner motion decoder (keys without a leading "model.")."""
    if hasattr(module_or_manifest, "state_dict"):
        shapes = {k: tuple(v.shape) for k, v in module_or_manifest.state_dict().items()}
    else:
        shapes = {k: tuple(v["shape"] if isinstance(v, dict) else v) for k, v in module_or_manifest.items()}
    out = {}
    for k, shp in shapes.items():
        if k.rsplit(".", 1)[-1] not in ("weight_u", "weight_v"):
            out[k] = synthetic_tensor(k, shp, seed, model)
    for k in shapes:
        if k.endswith(".weight_u"):
            base = k[: -len(".weight_u")]
            out[k], out[base + ".weight_v"] = spectral_uv(out[base + ".weight_orig"], base, seed, model)
    return {k: out[k] for k in shapes}


def synthetic_input(name, shape, seed, lo=0.0, hi=1.0):
    n = int(np.prod(shape))
    return (lo + (hi - lo) * raw_stream("input/" + name, n, seed)).astype(np.float32).reshape(shape)


def synthetic_normal(name, shape, seed):
    n = int(np.prod(shape))
    m = (n + 1) // 2
    r = raw_stream("normal/" + name, 2 * m, seed)
    rad, ang = np.sqrt(-2.0 * np.log(1.0 - r[:m])), 2.0 * np.pi * r[m:]
    return np.concatenate([rad * np.cos(ang), rad * np.sin(ang)])[:n].astype(np.float32).reshape(shape)
