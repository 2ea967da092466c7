"""Plots: well-formed SVG with the data where it belongs; PNG and HTML that others read."""

import math
import re
import struct
import xml.etree.ElementTree as ET
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

import adjoint as ad
from adjoint import plot
from adjoint.plot.axes import Scale, decades, ticks
from adjoint.plot.page import table

SVG = "{http://www.w3.org/2000/svg}"


def drawn(figure, name):
    """The elements of a kind, from the parsed file."""
    return list(ET.fromstring(str(figure)).iter(SVG + name))


def test_ticks_are_round_and_inside():
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-3.0, 17.0) == [0.0, 5.0, 10.0, 15.0]
    assert ticks(0.0123, 0.0131) == [0.0124, 0.0126, 0.0128, 0.013]
    assert decades(0.01, 10) == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]
    assert decades(1e-9, 1e3)[:2] == [1e-9, 1e-7]


def test_scales():
    s = Scale(0.0, 10.0, 100.0, 200.0)
    assert [s(0), s(5), s(10)] == [100.0, 150.0, 200.0]
    s = Scale(0.1, 10.0, 0.0, 2.0, log=True)
    assert s(1.0) == pytest.approx(1.0)
    assert Scale(3.0, 3.0, 0.0, 1.0)(3.0) == 0.5
    assert Scale(0.0, 0.0, 0.0, 1.0)(0.0) == 0.5
    assert Scale(3.0, 3.0, 0.0, 1.0, log=True)(3.0) == pytest.approx(0.5)


def test_curves_fall_where_values_fall():
    fig = plot.lines({"loss": [3.0, 2.0, 1.0], "val": ad.tensor([3.0, 3.0, 2.0])})
    curves = [
        [tuple(map(float, p.split(","))) for p in c.get("points").split()]
        for c in drawn(fig, "polyline")
    ]
    assert len(curves) == 2
    xs, ys = zip(*curves[0], strict=True)
    assert sorted(xs) == list(xs)
    assert sorted(ys) == list(ys)  # downwards on the page
    assert ys[1] == curves[1][2][1]
    assert {t.text for t in drawn(fig, "text")} >= {"loss", "val", "1", "2", "3"}


def test_gaps_single_points_and_nothing():
    fig = plot.lines({"a": [1.0, 2.0, math.nan, 4.0, 5.0, math.inf, 3.0]})
    assert len(drawn(fig, "polyline")) == 2
    assert len(drawn(fig, "circle")) == 1
    for log in (False, True):
        assert drawn(plot.lines({}, log=log), "polyline") == []
        assert drawn(plot.lines({"a": []}, log=log), "polyline") == []
        assert drawn(plot.lines({"a": [math.nan]}, log=log), "circle") == []
        assert len(drawn(plot.lines({"a": [2.0]}, log=log), "circle")) == 1
    assert len(drawn(plot.lines({"a": [1.0, 0.0, 1.0, 2.0]}, log=True), "circle")) == 1


def test_long_curves_keep_their_extremes():
    y = np.zeros(100_000)
    y[12_345], y[77_777] = 7.0, -3.0
    fig = plot.lines({"y": y})
    points = drawn(fig, "polyline")[0].get("points").split()
    assert len(points) < 1000
    heights = [float(p.split(",")[1]) for p in points]
    assert len(set(heights)) == 3
    assert len(str(fig)) < 20_000


def test_words_are_escaped():
    fig = plot.lines({"<a & b>": [1.0, 2.0]}, title='"<x>"', x_label="a<b")
    assert fig.title in {t.text for t in drawn(fig, "text")}
    assert "a<b" in {t.text for t in drawn(fig, "text")}


def test_matrix_shows_each_number():
    fig = plot.matrix(np.array([[5, 1], [0, 44]]), ["cat", "dog"], title="pets")
    words = [t.text for t in drawn(fig, "text")]
    assert [w for w in words if w and w.isdigit()] == ["5", "1", "0", "44"]
    assert words.count("cat") == 2
    fig = plot.matrix([[math.nan, 1], [math.inf, 2.5]])
    assert {"nan", "1", "inf", "2.5"} <= {t.text for t in drawn(fig, "text")}
    with pytest.raises(TypeError, match="plots show real numbers"):
        plot.lines({"a": ["x"]})
    with pytest.raises(ValueError, match="a label a row"):
        plot.matrix([[1, 2]], ["a", "b"])


def test_scatter_over_a_field():
    field = np.array([[0, 0], [1, 1]])
    fig = plot.scatter(
        {"a": ([0.0, 1.0, math.nan], [0.0, 1.0, 0.0])},
        field=field,
        extent=(-1, 2, -1, 2),
    )
    assert len(drawn(fig, "circle")) == 2
    assert drawn(fig, "image")[0].get("href").startswith("data:image/png;base64,")
    with pytest.raises(ValueError, match="needs its extent"):
        plot.scatter({}, field=field)
    with pytest.raises(ValueError, match="3 places and 2 values"):
        plot.lines({"a": ([1, 2, 3], [1, 2])})


def decoded(data):
    """The array of a PNG without filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        (check,) = struct.unpack(">I", data[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + size
    width, height, depth, color = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8
    raw = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not raw[:, 0].any()
    return raw[:, 1:].reshape(height, width, {0: 1, 2: 3, 6: 4}[color])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_comes_back(channels):
    x = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    np.testing.assert_array_equal(decoded(plot.png(x)), x)
    np.testing.assert_array_equal(decoded(plot.png(ad.tensor(x / 255.0))), x)


def test_png_refuses_what_is_no_image():
    with pytest.raises(ValueError, match=r"an image is \(H, W\)"):
        plot.png(np.zeros(3))
    with pytest.raises(TypeError, match="not int64"):
        plot.png(np.zeros((2, 2), int))
    x = decoded(plot.png(np.array([[math.nan, math.inf, -math.inf, 2.0, 0.5]])))
    assert x.ravel().tolist() == [0, 255, 0, 255, 128]


class _Tags(HTMLParser):
    void = {"meta"}

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_one_file(tmp_path):
    page = plot.Page("A <page>").heading("h").text("a < b").code("x = 1\ny < 2")
    page.table([{"epoch": 1, "loss": 0.123456}]).figure(
        plot.lines({"a": [1, 2]}), "curve"
    )
    text = page.save(tmp_path / "page.html").read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(text)
    assert tags.open == []
    assert {"svg", "table", "pre", "h2", "figcaption"} <= set(tags.seen)
    assert "0.1235" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<h1>A &lt;page&gt;</h1>" in page._repr_html_()


def test_tables_of_rows():
    assert table([[1, 2]], ["a", "b"]).count("<td>") == 2
    assert table([{"a": 1}, {"b": 2}]).count("<td></td>") == 2
    assert table([]) == "<table></table>"


def test_figures_are_saved(tmp_path):
    fig = plot.images([np.eye(3)] * 5, list("abcde"), columns=2, title="eyes")
    path = fig.save(tmp_path / "eyes.svg")
    assert len(list(ET.parse(path).iter(SVG + "image"))) == 5
    assert fig._repr_svg_() == str(fig)
    assert re.fullmatch(r"<Figure 'eyes', \d+ by \d+>", repr(fig))
    with pytest.raises(ValueError, match="1 images and 2 captions"):
        plot.images([np.eye(3)], ["a", "b"])
