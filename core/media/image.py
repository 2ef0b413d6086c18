"""Reads a photo as upright, opaque sRGB pixels, (H, W, 3) uint8.

from core.media.image import load_image
photo = load_image("portrait.jpg", Settings())
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from pillow_heif import options as heif_options
from pillow_heif.as_plugin import HeifImageFile

from core.errors import ImageError
from core.media.files import FileKind
from core.media.formats import PHOTO_FORMATS, PHOTOS, names
from core.media.picture_parts import has_many_parts
from core.media.sniff import identify, is_laden
from core.media.tiff_directory import TiffDirectory
from core.notices import notice
from core.settings import Settings
from core.types import Frame, Photo

ImageSource = str | Path | bytes | NDArray[Any]

_FILE = FileKind("photo", PHOTO_FORMATS, "save it smaller, or as JPEG", ImageError)
BACKGROUND_RGB = (192, 192, 192)
"""The background of transparent pixels: a light neutral grey."""
# The parsers themselves, not Image.open: only the one that was sniffed runs, and a size is judged by our limit alone.
_PARSERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.jpeg_factory,  # also knows the multi-picture files of phones, whose first picture is the photo
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "gif": GifImagePlugin.GifImageFile,
    # A picture that is larger than its header says: libheif does not decode it, libavif does up to 16384² pixels.
    "HEIF": HeifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
_MAY_HOLD_SEVERAL = ("MPO", "HEIF")
"""Files of phones that hold further pictures beside the photo, which comes first or is marked as the one to show."""
_KIND_OF_PICTURE = 254
"""NewSubfileType, the tag of TIFF whose lowest bit says that a picture is another one, reduced."""
MOST_JPEG = 4.2
"""Times the pixels that are accepted: a decoder of JPEG reads at a reduced scale."""
_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""By the number that EXIF has for it."""
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
"""Markers of JPEG that no segment follows."""
_PEAK_BYTES, _DECODED_BYTES = 13, 4
"""Of a pixel, while a photo is made of it, and while it is decoded."""
TiffImagePlugin.ImageFileDirectory_v2 = TiffDirectory  # type: ignore[misc]  # for EXIF in every kind of file
heif_options.THUMBNAILS = heif_options.DEPTH_IMAGES = heif_options.AUX_IMAGES = False


def load_image(source: ImageSource, settings: Settings, name: str = "The photo") -> Photo:
    """Decodes one photo.

    source: a file, the bytes of one, or pixels (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA as uint8, uint16 or float 0..1.
    name: what errors call bytes; a file has its own.
    EXIF orientation is applied, transparency composited on BACKGROUND_RGB, an embedded colour profile converted to sRGB.
    Raises ImageError when there is no usable picture or a limit of `settings` is passed (bytes before reading, pixels before
    decoding).
    """
    if isinstance(source, np.ndarray):
        pixels = _from_array(source, settings)
        return Photo(pixels, hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest())
    if isinstance(source, bytes):
        data = source
        _FILE.check_bytes(len(data), name, settings.max_image_bytes)
    else:
        data, name = _FILE.read(Path(source), settings.max_image_bytes), Path(source).name
    pixels, warnings = _decode(data, name, settings)
    return Photo(pixels, hashlib.sha256(data).hexdigest(), warnings)


def check_size(width: int, height: int, name: str, settings: Settings) -> None:
    """Checks the size of a photo or a frame. Raises ImageError."""
    if width * height > settings.max_image_pixels:
        hint = f"At most {settings.max_image_pixels / 1e6:.4g} million pixels are accepted: scale it down."
        raise ImageError(
            f"{name} is {width}×{height} pixels, too large.",
            hint,
            code="photo_too_large",
            parameters={"name": name, "width": width, "height": height, "limit": f"{settings.max_image_pixels / 1e6:.4g}"},
        )
    if min(width, height) < settings.min_image_px:
        hint = f"Each side needs at least {settings.min_image_px} pixels; the face alone should have about 200."
        raise ImageError(
            f"{name} is only {width}×{height} pixels.",
            hint,
            code="photo_too_small",
            parameters={"name": name, "width": width, "height": height, "least": settings.min_image_px},
        )


def _decode(data: bytes, name: str, settings: Settings) -> tuple[Frame, tuple[str, ...]]:
    """The pixels, and warnings about them."""
    content = identify(data)
    if content.kind == "sound":
        hint = f"Give a photo ({PHOTO_FORMATS}) here; were photo and recording swapped?"
        raise ImageError(
            f"{name} is not a photo: this is a recording ({content.name}).", hint, code="photo_is_recording", parameters={"name": name}
        )
    if content.kind == "other":
        raise ImageError(
            f"{name} is not a photo but {content.name}.",
            f"Give a {PHOTO_FORMATS} file.",
            code="photo_not_image",
            parameters={"name": name, "formats": names(PHOTOS)},
        )
    if not content.decoder:
        raise _not_readable(name, content.name)
    try:
        if content.decoder == "WEBP":  # its parser allocates the whole canvas
            check_size(*_webp_size(data), name, settings)
        if content.decoder == "gif" and is_laden(data) or has_many_parts(data, content.decoder):
            raise ValueError("too many parts")
        image = _PARSERS[content.decoder](io.BytesIO(data))
        tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
        if tags.get(TiffImagePlugin.SUBIFD) and tags.get(_KIND_OF_PICTURE, 0) & 1:
            raise _not_readable(name, "a raw photo of a camera")  # the first picture is a thumbnail
        if (tile := tags.get(TiffImagePlugin.TILEWIDTH, 0) * tags.get(TiffImagePlugin.TILELENGTH, 0)) > settings.max_image_pixels:
            raise ValueError(f"tiles of {tile} pixels")  # each is decoded whole, however little of it the picture has
        if image.format in ("JPEG", "MPO"):
            _read_smaller(image, data, settings)
        check_size(*image.size, name, settings)
        several = getattr(image, "is_animated", False) and image.format not in _MAY_HOLD_SEVERAL
        image.load()
        check_size(*image.size, name, settings)  # that of a HEIC picture is known for sure only now
        return _to_srgb(_upright(image)), (notice("photo_first_picture"),) if several else ()
    except ImageError:
        raise
    except Exception as error:  # parsers of hostile bytes fail in every way there is: OSError, SyntaxError, struct.error, IndexError…
        why = error if isinstance(error, OSError) else "its data are damaged"  # others speak of struct fields and indices
        text = f"{name} looks like {content.name} but cannot be decoded ({why})."
        raise ImageError(text, "Is the file complete?", code="photo_damaged", parameters={"name": name}) from error


def _not_readable(name: str, what: str) -> ImageError:
    return ImageError(
        f"{name} is {what}, which is not supported.",
        f"Save it as {PHOTO_FORMATS}.",
        code="photo_not_image",
        parameters={"name": name, "formats": names(PHOTOS)},
    )


def _read_smaller(image: Any, data: bytes, settings: Settings) -> None:
    """Has a JPEG of up to MOST_JPEG times the pixels that are accepted decoded at a half, a quarter or an eighth of its size, where that
    takes no more memory than as many pixels as are accepted. One that is too large even so is left as it is.
    """
    (width, height), most = image.size, settings.max_image_pixels
    if not most < width * height <= MOST_JPEG * most:
        return
    in_one = not image.info.get("progressive") and _components_of_first_scan(data) == len(image.layer)
    kept = 0 if in_one else _coefficients(image) * 2  # bytes: libjpeg holds all of one that comes in several scans
    for step in (2, 4, 8):
        n_pixels = -(-width // step) * -(-height // step)
        if n_pixels <= most and kept + _DECODED_BYTES * n_pixels <= _PEAK_BYTES * most:
            image.draft(None, (width // step, height // step))
            return


def _coefficients(image: Any) -> int:
    """Of all components of a JPEG, of which some may have fewer rows and columns."""
    shares = [across * down for _, across, down, _ in image.layer]
    return int(image.width * image.height * sum(shares) / max(shares))


def _components_of_first_scan(data: bytes) -> int:
    """Of a JPEG whose header was read (https://www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1.1); 0 where none is found."""
    at = 2
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 4:
        if data[at + 1] == 0xFF:  # padding
            at += 1
        elif data[at + 1] == 0xDA:
            return data[at + 4]
        elif data[at + 1] in _ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) from the header (https://developers.google.com/speed/webp/docs/riff_container)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _upright(image: Image.Image) -> Image.Image:
    """By the orientation of EXIF alone: `ImageOps.exif_transpose` writes all of it anew, which may be megabytes of numbers."""
    try:
        how = _TO_UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block is no reason to refuse a photo that decodes
        how = None
    return image if how is None else image.transpose(how)


def _to_srgb(image: Image.Image) -> Frame:
    """Any Pillow mode to (H, W, 3) uint8 sRGB on BACKGROUND_RGB."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would saturate it
        grey = np.asarray(image).astype(np.int64)
        image = Image.fromarray((np.clip(grey, 0, 65535) >> 8).astype(np.uint8))
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    if profile:
        image = _from_profile(image, profile)
    image = image.convert("RGB")
    if alpha is not None:
        opaque = Image.new("RGB", image.size, BACKGROUND_RGB)
        opaque.paste(image, mask=alpha)
        image = opaque
    return np.array(image)


def _from_profile(image: Image.Image, profile_bytes: bytes) -> Image.Image:
    """Colours of an embedded ICC profile as sRGB; a profile that is broken or does not fit the picture is left aside."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return image
        converted = ImageCms.profileToProfile(
            image,
            profile,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return converted if converted is not None else image
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


def _from_array(array: NDArray[Any], settings: Settings) -> Frame:
    shape = array.shape
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in shape:
        raise ImageError(f"The array of pixels has the shape {shape}.", "It must be (H, W), (H, W, 3) RGB or (H, W, 4) RGBA.")
    check_size(array.shape[1], array.shape[0], "The photo", settings)
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ImageError("The float pixels are not all between 0 and 1.", "Divide by 255, or give uint8.")
        array = np.rint(array * 255.0).astype(np.uint8)
    elif array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(f"The pixels are of type {array.dtype}.", "They must be uint8, uint16 or float from 0 to 1.")
    if array.shape[2] == 4:
        return _to_srgb(Image.fromarray(np.ascontiguousarray(array)))
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3))).copy()
