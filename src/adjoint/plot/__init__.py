"""Plots without a plotting library: SVG charts, PNG images, and pages of one HTML file."""

from .charts import images, lines, matrix, scatter
from .page import Page
from .png import png
from .svg import Figure

__all__ = ["Figure", "Page", "images", "lines", "matrix", "png", "scatter"]
