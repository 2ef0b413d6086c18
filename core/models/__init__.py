"""Ditto's networks as torch modules, whose state dicts are those of the published checkpoints.

Needs torch; the lite engine never comes here.
"""

from core.models.appearance_extractor import AppearanceExtractor
from core.models.decoder import Decoder
from core.models.lmdm import LMDM
from core.models.motion_extractor import MotionExtractor, MotionInfo
from core.models.stitch_network import StitchNetwork
from core.models.warp_network import WarpNetwork

__all__ = ["LMDM", "AppearanceExtractor", "Decoder", "MotionExtractor", "MotionInfo", "StitchNetwork", "WarpNetwork"]
