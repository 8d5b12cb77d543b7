"""Picture files: what is taken, what is refused, and that pixels come out as a person sees them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from objectclassification.classification import header, images
from objectclassification.errors import ImageError, NotAnImage, TooManyPixels, Undecodable
from tests.photographs import COFFEE
from tests.profiles import ADOBE_RGB, BLUE_FIRST, DISPLAY_P3, LINEAR_GREY, SRGB, Profile, inks

FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photograph(size: tuple[int, int]) -> Image.Image:
    with Image.open(COFFEE) as image:
        return image.convert("RGB").resize(size)


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 10) + b"IDAT" + bytes(14)


def jpeg_header(width: int, height: int) -> bytes:
    small = encoded(Image.new("RGB", (8, 8)), "JPEG")
    size = small.index(b"\xff\xc0") + 5  # after SOF0's marker, length and precision
    return small[:size] + struct.pack(">HH", height, width) + small[size + 4 :]


def webp_header(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<II", 10, 0) + canvas
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize(("kind", "media_type"), FORMATS.items())
def test_probe_reads_type_and_size(kind: str, media_type: str, tmp_path: Path) -> None:
    content = encoded(photograph((123, 45)), kind)
    path = tmp_path / "picture"
    path.write_bytes(content)
    expected = header.ImageInfo(media_type, 123, 45)
    assert header.probe(content) == expected
    assert header.probe(path) == expected


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"lossless": False}, {"exif": b"Exif\0\0"}]
)
def test_probe_reads_every_kind_of_webp(options: dict[str, object]) -> None:
    content = encoded(photograph((123, 45)), "WEBP", **options)
    assert header.probe(content) == header.ImageInfo("image/webp", 123, 45)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"<svg/>",
        encoded(Image.new("RGB", (8, 8)), "GIF"),
        encoded(Image.new("RGB", (8, 8)), "BMP"),
    ],
    ids=["empty", "text", "svg", "gif", "bmp"],
)
def test_other_files_are_not_images(content: bytes) -> None:
    with pytest.raises(NotAnImage):
        header.probe(content)
    with pytest.raises(NotAnImage):
        images.decode(content, min_short=256)


@pytest.mark.parametrize("make", [png_header, jpeg_header, webp_header])
def test_a_bomb_is_refused_by_its_header(make: object) -> None:
    assert callable(make)
    side = 16_000 if make is webp_header else 60_000
    bomb = make(side, side)
    for read in (header.probe, images.thumbnail):
        with pytest.raises(TooManyPixels) as caught:
            read(bomb)
        assert (caught.value.width, caught.value.height) == (side, side)
        assert caught.value.limit == header.MAX_PIXELS


def test_the_pixel_limit_is_the_callers() -> None:
    content = encoded(Image.new("RGB", (100, 100)), "PNG")
    assert header.probe(content, max_pixels=10_000).width == 100
    with pytest.raises(TooManyPixels):
        header.probe(content, max_pixels=9_999)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_picture_is_undecodable(kind: str, share: float) -> None:
    content = encoded(photograph((300, 200)), kind)
    with pytest.raises(Undecodable):
        images.decode(content[: int(len(content) * share)], min_short=256)


SMALL = {kind: encoded(photograph((48, 32)), kind) for kind in FORMATS}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_any_damage_is_a_picture_or_an_image_error(
    kind: str, damage: list[tuple[int, int]]
) -> None:
    content = bytearray(SMALL[kind])
    for position, value in damage:
        content[position % len(content)] = value
    for read in (header.probe, images.thumbnail):
        try:
            read(bytes(content))
        except ImageError:
            pass  # any other exception fails the test


# What a camera did to the upright picture when it wrote this orientation (EXIF 2.32, table 6).
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_honoured(orientation: int, kind: str) -> None:
    upright = Image.new("RGB", (640, 480), "red")
    upright.paste("green", (320, 0, 640, 240))
    upright.paste("blue", (0, 240, 320, 480))
    upright.paste("white", (320, 240, 640, 480))
    stored = upright.transpose(STORED[orientation]) if orientation in STORED else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encoded(stored, kind, exif=exif)

    decoded, info = images.decode(content, min_short=256)
    assert (info.width, info.height) == stored.size
    assert decoded.width > decoded.height
    with Image.open(io.BytesIO(images.thumbnail(content))) as thumbnail:
        assert thumbnail.size == (320, 240)
        assert not thumbnail.getexif()
        for image in (decoded, thumbnail.convert("RGB")):
            quarters = image.resize((2, 2), Image.Resampling.BOX)
            corners = np.asarray(quarters).reshape(4, 3).astype(int)
            expected = np.asarray([(255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255)])
            assert np.abs(corners - expected).max() < 12


TRANSPARENT = Image.new("RGBA", (300, 300), (200, 0, 0, 0))
HALF = Image.new("LA", (300, 300), (0, 128))
PALETTE = Image.new("P", (300, 300), 1)
PALETTE.putpalette([0, 0, 0, 200, 0, 0])
SIXTEEN_BITS = Image.fromarray(np.full((300, 300), 0x8000, np.uint16))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(TRANSPARENT, "PNG"), (255, 255, 255)),
        (encoded(TRANSPARENT, "WEBP", lossless=True), (255, 255, 255)),
        (encoded(HALF, "PNG"), (127, 127, 127)),
        (encoded(PALETTE, "PNG", transparency=1), (255, 255, 255)),
        (encoded(SIXTEEN_BITS, "PNG"), (128, 128, 128)),
        (encoded(Image.new("1", (300, 300), 1), "PNG"), (255, 255, 255)),
        (encoded(Image.new("L", (300, 300), 77), "JPEG"), (77, 77, 77)),
        (encoded(Image.new("CMYK", (300, 300), (0, 255, 255, 0)), "JPEG"), (255, 0, 0)),
    ],
    ids=["rgba", "webp", "half", "palette", "16 bits", "1 bit", "grey", "cmyk"],
)
def test_every_kind_of_pixel_becomes_rgb(content: bytes, expected: tuple[int, int, int]) -> None:
    image, _ = images.decode(content, min_short=256)
    assert image.mode == "RGB"
    pixel = np.asarray(image)[150, 150].astype(int)
    assert np.abs(pixel - expected).max() <= 2


EXACTLY: dict[str, dict[str, object]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
}


@pytest.mark.parametrize(
    "profile", [ADOBE_RGB, DISPLAY_P3, BLUE_FIRST], ids=["adobe rgb", "display p3", "blue first"]
)
@pytest.mark.parametrize("kind", FORMATS)
def test_colours_are_those_that_the_profile_says(profile: Profile, kind: str) -> None:
    """What a person sees; without the profile, the numbers alone are other colours."""
    upright = photograph((320, 240))
    how = EXACTLY[kind]
    content = encoded(profile.picture(upright), kind, icc_profile=profile.icc, **how)
    told = difference(images.decode(content, min_short=240)[0], upright)
    assert told < (3 if kind == "JPEG" else 1)  # what 8 bits, and a JPEG, lose
    with Image.open(io.BytesIO(images.thumbnail(content))) as small:
        assert difference(small.convert("RGB"), upright) < 6
        assert "icc_profile" not in small.info
    untold = encoded(profile.picture(upright), kind, **how)
    assert difference(images.decode(untold, min_short=240)[0], upright) > max(3 * told, 4)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean over pixels and channels, of 255."""
    both = (np.asarray(image).astype(float) for image in (one, other))
    return float(np.abs(np.subtract(*both)).mean())


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA"])
def test_profiles_of_every_kind_of_pixel(mode: str) -> None:
    """Grey has a profile of its own; a palette and transparency have that of their colours."""
    grey = mode in ("L", "LA", "1")
    profile = LINEAR_GREY if grey else BLUE_FIRST
    pixel = Image.new("RGB", (300, 300), (56, 56, 56) if grey else (0, 0, 204))
    if mode == "1":
        pixel = Image.new("RGB", (300, 300), "white")
    image, _ = images.decode(
        encoded(pixel.convert(mode), "PNG", icc_profile=profile.icc), min_short=256
    )
    expected = {"1": (255, 255, 255)}.get(mode, (129, 129, 129) if grey else (204, 0, 0))
    assert np.abs(np.asarray(image)[150, 150].astype(int) - expected).max() <= 2


def test_inks_are_what_their_profile_says() -> None:
    """A cyan that prints red; without the profile it is cyan."""
    printed = Image.new("CMYK", (300, 300), (255, 0, 0, 0))
    told, untold = (
        images.decode(encoded(printed, "JPEG", **how), min_short=256)[0]
        for how in ({"icc_profile": inks((54, 80, 69))}, {})
    )
    red, cyan = (np.asarray(image)[150, 150].astype(int) for image in (told, untold))
    assert np.abs(red - (255, 0, 0)).max() <= 8
    assert np.abs(cyan - (0, 255, 255)).max() <= 2


@pytest.mark.parametrize(
    "profile",
    [b"", b"x", bytes(200), ADOBE_RGB.icc[:150], LINEAR_GREY.icc, inks((54, 80, 69))],
    ids=["empty", "short", "zeros", "cut", "of grey", "of inks"],
)
def test_a_profile_that_is_none_for_it_does_no_harm(profile: bytes) -> None:
    """It is passed over, as browsers do."""
    upright = photograph((320, 240))
    image, _ = images.decode(encoded(upright, "PNG", icc_profile=profile), min_short=240)
    assert difference(image, upright) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_to_a_profile_leaves_a_picture(damage: list[tuple[int, int]]) -> None:
    profile = bytearray(ADOBE_RGB.icc)
    for position, value in damage:
        profile[position % len(profile)] = value
    content = encoded(Image.new("RGB", (48, 32), "teal"), "PNG", icc_profile=bytes(profile))
    image, _ = images.decode(content, min_short=32)
    assert (image.mode, image.size) == ("RGB", (48, 32))


def test_what_is_srgb_is_left_as_it_is() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    upright = photograph((320, 240))
    for icc in (profile, Profile(SRGB).icc):
        image, _ = images.decode(encoded(upright, "PNG", icc_profile=icc), min_short=240)
        assert difference(image, upright) == 0


def test_a_large_jpeg_is_decoded_reduced_but_never_below_what_is_asked() -> None:
    content = encoded(photograph((1920, 1080)), "JPEG")
    assert images.decode(content, min_short=256)[0].size == (480, 270)
    assert images.decode(content, min_short=256, min_long=481)[0].size == (960, 540)
    assert images.decode(content, min_short=2000)[0].size == (1920, 1080)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (320, 180)),
        ((1080, 1920), (180, 320)),
        ((64, 48), (64, 48)),
        ((2000, 1), (320, 1)),
    ],
)
def test_thumbnail_keeps_the_shape_and_never_enlarges(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    content = images.thumbnail(encoded(photograph(size), "JPEG"))
    assert header.probe(content) == header.ImageInfo("image/jpeg", *expected)


@pytest.mark.parametrize(
    ("crop", "left_top", "side"),
    [
        ((0.4, 0.4, 0.6, 0.6), (350, 150), 100),  # 160 x 80, of which the model sees all
        ((0.0, 0.0, 0.1, 0.1), (0, 0), 100),  # moved into the picture
        ((0.9, 0.9, 1.0, 1.0), (700, 300), 100),
        ((0.0, 0.0, 1.0, 1.0), (-100, -300), 1000),  # larger than the picture: black around it
    ],
)
def test_a_square_is_cut_about_a_rectangle(
    crop: tuple[float, float, float, float], left_top: tuple[int, int], side: int
) -> None:
    image = photograph((800, 400))
    middle = 1.6 if crop[0] == 0.4 else 0.8
    found = images.cut(image, crop, middle)
    assert found.size == (side, side)
    left, top = left_top
    assert found.tobytes() == image.crop((left, top, left + side, top + side)).tobytes()


def test_crops_keep_their_pixels_when_a_picture_is_decoded() -> None:
    assert images.short_side_for(256, ()) == 256
    assert images.short_side_for(256, [(0.0, 0.0, 0.5, 1.0), (0.1, 0.1, 0.2, 0.9)]) == 2560
