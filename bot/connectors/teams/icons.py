"""The two icons of the Teams app, drawn: the page's icon, a speech bubble with a heart. Pure; sizes and colours are those that Teams wants.

Shapes are in the units of the page's icon.svg, 32 by 32; they are drawn many times as large as the icon, and made small at the end.
"""

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

COLOR_SIZE: Final = 192  # full bleed: Teams rounds the corners itself
OUTLINE_SIZE: Final = 32  # white on nothing: Teams gives it the colours of its own
ACCENT: Final = "#0b6e69"

_TIMES = 8  # drawn so many times as large: that makes smooth edges
_MIDDLE = (16.0, 16.6)  # of the bubble with its tail
_COLOR_ZOOM = 0.95  # the bubble fills the 120 pixels in the middle that no client cuts off
_OUTLINE_ZOOM = 1.34
_STROKE = 1.45
_HEART = (16.0, 15.0)


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws on a mask: `fill` is 255 for what shall be seen, 0 for what shall not."""

    mask: Image.Image
    zoom: float

    def bubble(self, fill: int, inset: float = 0.0) -> None:
        """With its tail to the lower left."""
        pen = ImageDraw.Draw(self.mask)
        left, top, right, bottom = 5.5 + inset, 6.5 + inset, 26.5 - inset, 22.5 - inset
        pen.rounded_rectangle([self._at(left, top), self._at(right, bottom)], self._long(4.0 - inset), fill)
        tip = 26.4 - 2.1 * inset
        pen.polygon([self._at(9.7 + inset, bottom - 1), self._at(9.7 + inset, tip), self._at(16.3 - inset / 2, bottom - 1)], fill)

    def heart(self, fill: int, size: float = 0.95) -> None:
        """A square on its corner with half a circle on two of its sides."""
        pen = ImageDraw.Draw(self.mask)
        x, y = _HEART
        corners = [(-3.86, 0.08), (0.0, 4.0), (3.86, 0.08), (0.0, -3.6)]
        pen.polygon([self._at(x + dx * size, y + dy * size) for dx, dy in corners], fill)
        for dx in (-1.94, 1.94):
            centre = (x + dx * size, y - 1.84 * size)
            radius = 2.72 * size
            pen.ellipse([self._at(centre[0] - radius, centre[1] - radius), self._at(centre[0] + radius, centre[1] + radius)], fill)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        half = self.mask.width / 2
        return half + self._long(x - _MIDDLE[0]), half + self._long(y - _MIDDLE[1])

    def _long(self, units: float) -> float:
        return units * self.zoom * self.mask.width / 32


def color_icon() -> bytes:
    """PNG, 192 by 192, nothing transparent: a white bubble, its heart in the accent."""
    pen = _Pen(Image.new("L", (COLOR_SIZE * _TIMES,) * 2), _COLOR_ZOOM)
    pen.bubble(255)
    pen.heart(0, size=1.2)
    icon = Image.new("RGB", (COLOR_SIZE, COLOR_SIZE), ACCENT)
    icon.paste("white", (0, 0), _small(pen.mask, COLOR_SIZE))
    return _png(icon)


def outline_icon() -> bytes:
    """PNG, 32 by 32: every pixel is white, and more or less transparent."""
    pen = _Pen(Image.new("L", (OUTLINE_SIZE * _TIMES,) * 2), _OUTLINE_ZOOM)
    pen.bubble(255)
    pen.bubble(0, inset=_STROKE)
    pen.heart(255)
    white = Image.new("L", (OUTLINE_SIZE, OUTLINE_SIZE), 255)
    return _png(Image.merge("RGBA", (white, white, white, _small(pen.mask, OUTLINE_SIZE))))


def _small(mask: Image.Image, size: int) -> Image.Image:
    return mask.resize((size, size), Image.Resampling.LANCZOS)


def _png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()
