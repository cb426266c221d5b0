"""Small pictures of clouds."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from pointlora_cli.clouds.pictures import draw_cloud, write_png
from pointlora_cli.errors import CloudError

RED, BLUE = (255, 0, 0), (0, 0, 255)


def chunks(content):
    """Kind and content of each chunk, whose sums are checked."""
    at = 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length]) == (zlib.crc32(kind + body),)
        yield kind, body
        at += 12 + length


def test_a_png_holds_the_picture(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    write_png(tmp_path / "a.png", image)
    found = dict(chunks((tmp_path / "a.png").read_bytes()))
    assert struct.unpack(">II", found[b"IHDR"][:8]) == (7, 5)
    rows = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(5, 22)
    assert (rows[:, 0] == 0).all()
    assert np.array_equal(rows[:, 1:].reshape(5, 7, 3), image)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(CloudError, match="none"):
        write_png(tmp_path / "none" / "a.png", np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize(("up", "axis"), [("y", 1), ("z", 2)])
def test_what_is_up_is_drawn_above(up, axis):
    points = np.zeros((2, 3))
    points[:, axis] = [0.8, -0.8]
    image = draw_cloud(points, np.array([RED, BLUE], np.uint8), 64, up=up)
    red, blue = (
        np.argwhere((image[..., channel] > 90) & (image[..., 1] < 90)).mean(axis=0) for channel in (0, 2)
    )
    assert red[0] < blue[0]
    assert abs(red[1] - blue[1]) < 1


def test_the_nearer_point_covers_the_farther():
    towards = np.array([np.sin(np.radians(35)), 0.0, np.cos(np.radians(35))]) * np.cos(np.radians(20))
    towards[1] = np.sin(np.radians(20))
    for order in ([0.5, -0.5], [-0.5, 0.5]):
        colors = np.array([RED if distance > 0 else BLUE for distance in order], np.uint8)
        image = draw_cloud(np.array([distance * towards for distance in order]), colors, 64)
        assert (image[32, 32] == RED).all()


def test_points_beyond_the_picture_are_left_out():
    image = draw_cloud(np.full((1, 3), 9.0), np.array([RED], np.uint8), 32)
    assert (image == 255).all()
