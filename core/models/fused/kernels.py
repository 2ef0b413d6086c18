"""The Triton kernels of the passes between convolutions, each with one read and one write; called by `passes` only.

All pictures lie pixel by pixel, channels innermost. Arithmetic is float32 whatever is stored.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def axis_at(i, n: tl.constexpr):
    """Coordinate of sample i of n: -1 at the first, 1 at the last."""
    return 2.0 * (i.to(tl.float32) / (n - 1)) - 1.0


@triton.jit
def corner(volume, base, z, y, x, c, ok, D: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr):
    """The volume's value at whole coordinates (float32), 0 outside."""
    inside = ok & (z >= 0) & (z < D) & (y >= 0) & (y < H) & (x >= 0) & (x < W)
    at = base + ((z.to(tl.int32) * H + y.to(tl.int32)) * W + x.to(tl.int32)) * C + c
    return tl.load(volume + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def trilinear(volume, base, gz, gy, gx, c, ok, D: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr):
    """Sampled at coordinates -1..1 that count from the outer edges of the volume; zero outside."""
    # Far away is clamped, so that whole numbers stay whole numbers: everything beyond the edge is 0 anyway.
    z = tl.minimum(tl.maximum(((gz + 1) * D - 1) * 0.5, -2.0), D + 1.0)
    y = tl.minimum(tl.maximum(((gy + 1) * H - 1) * 0.5, -2.0), H + 1.0)
    x = tl.minimum(tl.maximum(((gx + 1) * W - 1) * 0.5, -2.0), W + 1.0)
    z0, y0, x0 = tl.floor(z), tl.floor(y), tl.floor(x)
    wz, wy, wx = z - z0, y - y0, x - x0
    near = corner(volume, base, z0, y0, x0, c, ok, D, H, W, C) * (1 - wx) + corner(volume, base, z0, y0, x0 + 1, c, ok, D, H, W, C) * wx
    far = corner(volume, base, z0, y0 + 1, x0, c, ok, D, H, W, C) * (1 - wx)
    far += corner(volume, base, z0, y0 + 1, x0 + 1, c, ok, D, H, W, C) * wx
    front = near * (1 - wy) + far * wy
    near = corner(volume, base, z0 + 1, y0, x0, c, ok, D, H, W, C) * (1 - wx)
    near += corner(volume, base, z0 + 1, y0, x0 + 1, c, ok, D, H, W, C) * wx
    far = corner(volume, base, z0 + 1, y0 + 1, x0, c, ok, D, H, W, C) * (1 - wx)
    far += corner(volume, base, z0 + 1, y0 + 1, x0 + 1, c, ok, D, H, W, C) * wx
    return front * (1 - wz) + (near * (1 - wy) + far * wy) * wz


@triton.jit
def motion_stack_kernel(
    volume, kp_source, kp_driving, out,
    D: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, KP: tl.constexpr, WIDTH: tl.constexpr,
    SHARPNESS: tl.constexpr, ROWS: tl.constexpr, MOTIONS: tl.constexpr,
):  # fmt: skip
    """MOTIONS, C: powers of two; the C features of a voxel lie beside each other and are read at once."""
    voxels: tl.constexpr = D * H * W
    n = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    motion = tl.arange(0, MOTIONS)[None, :]
    x, y, z = axis_at(row % W, W), axis_at((row // W) % H, H), axis_at(row // (W * H), D)
    moved = (motion > 0) & (motion <= KP)
    at = (n * KP + motion - 1) * 3
    sx = tl.load(kp_source + at, mask=moved, other=0.0)
    sy = tl.load(kp_source + at + 1, mask=moved, other=0.0)
    sz = tl.load(kp_source + at + 2, mask=moved, other=0.0)
    dx = tl.load(kp_driving + at, mask=moved, other=0.0)
    dy = tl.load(kp_driving + at + 1, mask=moved, other=0.0)
    dz = tl.load(kp_driving + at + 2, mask=moved, other=0.0)
    inside = row < voxels
    feature = tl.arange(0, C)[None, None, :]
    known = (inside & (motion <= KP))[:, :, None]
    sampled = trilinear(
        volume, n * voxels * C, (z - dz + sz)[:, :, None], (y - dy + sy)[:, :, None], (x - dx + sx)[:, :, None], feature, known, D, H, W, C
    )  # fmt: skip
    first = (n * voxels + row) * WIDTH
    tl.store(out + (first + motion * C)[:, :, None] + feature, sampled.to(out.dtype.element_ty), mask=known)
    to_driving = (x - dx) * (x - dx) + (y - dy) * (y - dy) + (z - dz) * (z - dz)
    to_source = (x - sx) * (x - sx) + (y - sy) * (y - sy) + (z - sz) * (z - sz)
    spot = tl.where(moved, tl.exp(-SHARPNESS * to_driving) - tl.exp(-SHARPNESS * to_source), 0.0).to(out.dtype.element_ty)
    tl.store(out + first + (KP + 1) * C + motion - 1, spot, mask=inside & moved)
    filling = (KP + 1) * C + KP + motion
    tl.store(out + first + filling, tl.zeros([ROWS, MOTIONS], out.dtype.element_ty), mask=inside & (filling < WIDTH))


@triton.jit
def flow_sample_kernel(
    parts, bias, kp_source, kp_driving, volume, out,
    D: tl.constexpr, H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, KP: tl.constexpr, TAPS: tl.constexpr, WIDTH: tl.constexpr,
    ROWS: tl.constexpr, MOTIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    voxels: tl.constexpr = D * H * W
    n = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < voxels
    motion = tl.arange(0, MOTIONS)
    known = motion <= KP
    z = row // (W * H)
    logit = tl.zeros([ROWS, MOTIONS], tl.float32) + tl.load(bias + motion, mask=known, other=0.0).to(tl.float32)[None, :]
    for tap in range(TAPS):
        depth = z + tap - TAPS // 2
        ok = (inside & (depth >= 0) & (depth < D))[:, None] & known[None, :]
        at = (n * voxels + row + (tap - TAPS // 2) * H * W)[:, None] * WIDTH + tap * (KP + 1) + motion[None, :]
        logit += tl.load(parts + at, mask=ok, other=0.0).to(tl.float32)
    logit = tl.where(known[None, :], logit, float("-inf"))
    weight = tl.exp(logit - tl.max(logit, axis=1)[:, None])
    weight = weight / tl.sum(weight, axis=1)[:, None]
    moved = known & (motion > 0)
    at = (n * KP + motion - 1) * 3
    shift_x = tl.load(kp_source + at, mask=moved, other=0.0) - tl.load(kp_driving + at, mask=moved, other=0.0)
    shift_y = tl.load(kp_source + at + 1, mask=moved, other=0.0) - tl.load(kp_driving + at + 1, mask=moved, other=0.0)
    shift_z = tl.load(kp_source + at + 2, mask=moved, other=0.0) - tl.load(kp_driving + at + 2, mask=moved, other=0.0)
    gx = axis_at(row % W, W) + tl.sum(weight * shift_x[None, :], axis=1)
    gy = axis_at((row // W) % H, H) + tl.sum(weight * shift_y[None, :], axis=1)
    gz = axis_at(z, D) + tl.sum(weight * shift_z[None, :], axis=1)
    channel = tl.arange(0, CHANNELS)[None, :]
    ok = inside[:, None] & (channel < C)
    value = trilinear(volume, n * voxels * C, gz[:, None], gy[:, None], gx[:, None], channel, ok, D, H, W, C)
    at = ((n * H * W + row % (H * W)) * D + z)[:, None] * C + channel
    tl.store(out + at, value.to(out.dtype.element_ty), mask=ok)


@triton.jit
def activate_kernel(
    x, bias, skip, out, rows,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, SKIP: tl.constexpr, SLOPE: tl.constexpr, SHUFFLE: tl.constexpr, POOL: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """H, W: of the result. SHUFFLE: each pixel of x holds 2x2 of the result. POOL: each of the result is the mean of 2x2 of x."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    own = (row < rows) & (channel < C)
    b = tl.load(bias + channel, mask=channel < C, other=0.0).to(tl.float32)
    column, line, picture = row % W, (row // W) % H, row // (W * H)
    if SHUFFLE:
        at = ((picture * (H // 2) + line // 2) * (W // 2) + column // 2) * (4 * C) + ((line % 2) * 2 + column % 2) * C + channel
        value = tl.load(x + at, mask=own, other=0.0).to(tl.float32) + b
        value = tl.where(value > 0, value, value * SLOPE)
    elif POOL:
        first = ((picture * (2 * H) + 2 * line) * (2 * W) + 2 * column) * C + channel
        value = tl.zeros([ROWS, CHANNELS], tl.float32)
        for i in tl.static_range(4):
            one = tl.load(x + first + ((i // 2) * 2 * W + i % 2) * C, mask=own, other=0.0).to(tl.float32) + b
            value += tl.where(one > 0, one, one * SLOPE)
        value = value * 0.25
    else:
        value = tl.load(x + row * C + channel, mask=own, other=0.0).to(tl.float32) + b
        value = tl.where(value > 0, value, value * SLOPE)
    ok = own
    if SKIP:
        ok = (row < rows) & (channel < C + SKIP)
        beside = tl.load(skip + row * SKIP + channel - C, mask=ok & (channel >= C), other=0.0).to(tl.float32)
        value = tl.where(channel < C, value, beside)
    tl.store(out + row * (C + SKIP) + channel, value.to(out.dtype.element_ty), mask=ok)


@triton.jit
def spread_kernel(
    x, bias, out, rows,
    H: tl.constexpr, W: tl.constexpr, G: tl.constexpr, C: tl.constexpr, TIMES: tl.constexpr, VALUES: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """H, W: of the result. Each pixel of x holds VALUES x VALUES distinct ones, channel by group by value."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.arange(0, CHANNELS)[None, :]
    group = tl.program_id(1)
    ok = (row < rows) & (channel < C)
    column, line, picture = row % W, (row // W) % H, row // (W * H)
    r, s = line % TIMES, column % TIMES
    if TIMES > VALUES:  # a b b c
        r, s = (r + 1) // 2, (s + 1) // 2
    pixel = (picture * (H // TIMES) + line // TIMES) * (W // TIMES) + column // TIMES
    at = ((pixel * VALUES * VALUES + r * VALUES + s) * G + group) * C + channel
    value = tl.load(x + at, mask=ok, other=0.0).to(tl.float32)
    value += tl.load(bias + group * C + channel, mask=channel < C, other=0.0).to(tl.float32)
    at = (group * rows + row) * C + channel
    tl.store(out + at, tl.maximum(value, 0.0).to(out.dtype.element_ty), mask=ok)


@triton.jit
def add_kernel(
    a, b, c, bias, out, partial,
    PIXELS: tl.constexpr, C: tl.constexpr, TERMS: tl.constexpr, SLOPE: tl.constexpr,
    ACTIVATE: tl.constexpr, STATS: tl.constexpr, STORE: tl.constexpr, SPLITS: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Sum of TERMS pictures, and mean and squared deviations of its channels over each of SPLITS equal parts of the pixels."""
    n, split = tl.program_id(0), tl.program_id(1)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    per_split: tl.constexpr = PIXELS // SPLITS
    known = channel < C
    first = n * PIXELS + split * per_split
    sums = tl.zeros([ROWS, CHANNELS], tl.float32)
    squares = tl.zeros([ROWS, CHANNELS], tl.float32)
    around = tl.zeros([1, CHANNELS], tl.float32)
    for start in range(0, per_split, ROWS):
        row = first + start + tl.arange(0, ROWS)[:, None]
        value = tl.load(a + row * C + channel, mask=known, other=0.0).to(tl.float32)
        if TERMS > 1:
            value += tl.load(b + row * C + channel, mask=known, other=0.0).to(tl.float32)
        if TERMS > 2:
            value += tl.load(c + row * C + channel, mask=known, other=0.0).to(tl.float32)
        if ACTIVATE:
            value += tl.load(bias + channel, mask=known, other=0.0).to(tl.float32)
            value = tl.where(value > 0, value, value * SLOPE)
        if STORE:
            stored = value.to(out.dtype.element_ty)
            tl.store(out + row * C + channel, stored, mask=known)
            value = stored.to(tl.float32)
        if STATS:
            if start == 0:  # squares of what is far from zero would leave no digits for its deviation
                around = tl.sum(value, axis=0)[None, :] / ROWS
            value -= around
            sums += value
            squares += value * value
    if STATS:
        off = tl.sum(sums, axis=0)[None, :] / per_split
        at = (n * SPLITS + split) * 2 * C + channel
        tl.store(partial + at, around + off, mask=known)
        tl.store(partial + at + C, tl.sum(squares, axis=0)[None, :] - off * off * per_split, mask=known)


@triton.jit
def combine_kernel(
    partial, out, PIXELS: tl.constexpr, C: tl.constexpr, EPS: tl.constexpr, SPLITS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Of the parts: mean and 1 / standard deviation of every channel."""
    n = tl.program_id(0)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    known = channel < C
    at = (n * SPLITS + tl.arange(0, SPLITS)[:, None]) * 2 * C + channel
    means = tl.load(partial + at, mask=known, other=0.0)
    mean = tl.sum(means, axis=0)[None, :] / SPLITS
    between = tl.sum((means - mean) * (means - mean), axis=0)[None, :] * (PIXELS // SPLITS)
    squares = tl.sum(tl.load(partial + at + C, mask=known, other=0.0), axis=0)[None, :] + between
    tl.store(out + n * 2 * C + channel, mean, mask=known)
    tl.store(out + n * 2 * C + C + channel, tl.rsqrt(squares / PIXELS + EPS), mask=known)


@triton.jit
def modulate_kernel(
    x, stats, paint, bias, out, rows,
    H: tl.constexpr, W: tl.constexpr, C: tl.constexpr, WIDTH: tl.constexpr, UP: tl.constexpr, OFFSET: tl.constexpr, SLOPE: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """H, W: of the result. (x - mean) / deviation * gain [+ offset, rectified]; x is repeated UP times in each direction."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    known = channel < C
    ok = (row < rows) & known
    column, line, picture = row % W, (row // W) % H, row // (W * H)
    pixel = (picture * (H // UP) + line // UP) * (W // UP) + column // UP
    value = tl.load(x + pixel * C + channel, mask=ok, other=0.0).to(tl.float32)
    mean = tl.load(stats + picture * 2 * C + channel, mask=ok, other=0.0)
    scale = tl.load(stats + picture * 2 * C + C + channel, mask=ok, other=0.0)
    gain = tl.load(paint + row * WIDTH + channel, mask=ok, other=0.0).to(tl.float32)
    gain += tl.load(bias + channel, mask=known, other=0.0).to(tl.float32)
    value = (value - mean) * scale * gain
    if OFFSET:
        value += tl.load(paint + row * WIDTH + C + channel, mask=ok, other=0.0).to(tl.float32)
        value += tl.load(bias + C + channel, mask=known, other=0.0).to(tl.float32)
        value = tl.where(value > 0, value, value * SLOPE)
    tl.store(out + row * C + channel, value.to(out.dtype.element_ty), mask=ok)
