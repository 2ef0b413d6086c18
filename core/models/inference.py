"""Converts a loaded network into its inference form: same arguments and results, fewer operations."""

from __future__ import annotations

from typing import overload

import torch
from torch import nn

from core.models.appearance_extractor import AppearanceExtractor
from core.models.decoder import Decoder
from core.models.fused.decoder import FusedDecoder
from core.models.fused.layers import PixelConv
from core.models.fused.warp import FusedWarpNetwork
from core.models.lmdm import LMDM
from core.models.modules.conv3d import Way
from core.models.modules.folding import Conv
from core.models.motion_extractor import MotionExtractor
from core.models.prepared.appearance import PreparedAppearanceExtractor
from core.models.prepared.decoder import PreparedDecoder
from core.models.prepared.lmdm import PreparedLMDM
from core.models.prepared.motion import PreparedMotionExtractor
from core.models.prepared.warp import PreparedWarpNetwork
from core.models.stitch_network import StitchNetwork
from core.models.warp_network import WarpNetwork


@overload
def prepare_for_inference(network: AppearanceExtractor) -> PreparedAppearanceExtractor: ...
@overload
def prepare_for_inference(network: MotionExtractor) -> PreparedMotionExtractor: ...
@overload
def prepare_for_inference(network: WarpNetwork) -> PreparedWarpNetwork: ...
@overload
def prepare_for_inference(network: Decoder) -> PreparedDecoder: ...
@overload
def prepare_for_inference(network: LMDM) -> PreparedLMDM: ...
@overload
def prepare_for_inference(network: StitchNetwork) -> StitchNetwork: ...


@torch.no_grad()
def prepare_for_inference(network: nn.Module) -> nn.Module:
    """The network's inference form, on its device and in its dtype, frozen and in evaluation mode.

    Load weights, device and dtype first: the result takes its weights from the network as it is now, and keeps those it does not rewrite
    (the network itself must not change afterwards, and may be dropped). The stitch network has nothing to save and is returned as it is.
    """
    network.eval().requires_grad_(False)
    forms: dict[type[nn.Module], type[nn.Module]] = {
        AppearanceExtractor: PreparedAppearanceExtractor,
        MotionExtractor: PreparedMotionExtractor,
        WarpNetwork: PreparedWarpNetwork,
        Decoder: PreparedDecoder,
        LMDM: PreparedLMDM,
    }
    if isinstance(network, StitchNetwork):
        return network
    if type(network) not in forms:
        raise TypeError(f"{type(network).__name__} has no inference form")
    return forms[type(network)](network).eval().requires_grad_(False)


@torch.no_grad()
def prepare_for_gpu(network: nn.Module) -> nn.Module:
    """As `prepare_for_inference`, warp network and decoder in the form that a GPU runs fastest."""
    forms: dict[type[nn.Module], type[nn.Module]] = {WarpNetwork: FusedWarpNetwork, Decoder: FusedDecoder}
    if type(network) in forms:
        return forms[type(network)](network).eval().requires_grad_(False)
    out: nn.Module = prepare_for_inference(network)  # type: ignore[call-overload]
    return out


def use_conv3d(network: nn.Module, way: Way) -> None:
    """Lets every convolution of volumes in a converted network run that way. Once per network; its dtype may change afterwards."""
    for module in network.modules():
        if isinstance(module, Conv | PixelConv):
            module.use(way)
