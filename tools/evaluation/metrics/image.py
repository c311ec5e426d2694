"""An image as the metrics take it, and what several of them need of it."""
import cv2
import numpy as np

PEAK = 255.0  # the largest gray level
LEVELS = 256


class Image:
    """A checked gray image on the scale 0…255, and what was computed of it, so that metrics and methods share that.

    pixels: H×W, float64. A source image that is compared with several fused ones should be one and the same Image.
    ValueError: it is not an array of two dimensions, is empty, or holds NaN, infinite values or values outside 0…255.
    """

    def __init__(self, pixels, name='image'):
        pixels = np.asarray(pixels)
        if pixels.ndim != 2 or pixels.dtype.kind not in 'buif':
            raise ValueError(f'{name} must be an H×W array of numbers, not {pixels.dtype} of shape {pixels.shape}')
        if min(pixels.shape) < 1:
            raise ValueError(f'{name} is {size_text(pixels)} pixels')
        self.pixels = pixels.astype(np.float64)
        if not np.isfinite(self.pixels).all():
            raise ValueError(f'{name} contains NaN or infinite values')
        if self.pixels.min() < 0 or self.pixels.max() > PEAK:
            raise ValueError(f'{name} has values from {self.pixels.min():g} to {self.pixels.max():g}; the metrics take '
                             '0…255')
        self.shape, self.size = pixels.shape, pixels.size
        self._known = {}

    def once(self, compute, *arguments):
        """compute(pixels, *arguments), computed the first time only."""
        key = compute, arguments
        if key not in self._known:
            self._known[key] = compute(self.pixels, *arguments)
        return self._known[key]

    def forget(self):
        """Free the memory of what was computed."""
        self._known.clear()


def images(smallest=1, **given):
    """The named arguments, arrays or Images, as a list of Image of one size, each side at least so many pixels long."""
    checked = [image if isinstance(image, Image) else Image(image, name) for name, image in given.items()]
    for name, image in zip(given, checked):
        if min(image.shape) < smallest:
            raise ValueError(f'{name} is {size_text(image)} pixels; this metric needs at least {smallest}×{smallest}')
    if len({image.shape for image in checked}) > 1:
        raise ValueError('the images differ in size: '
                         + ', '.join(f'{name} {size_text(one)}' for name, one in zip(given, checked)))
    return checked


def size_text(image):
    """Width × height of an array or Image."""
    return f'{image.shape[1]}×{image.shape[0]}'


def levels(pixels):
    """The nearest gray level of each pixel, as integers."""
    return np.rint(pixels).astype(np.intp)


def sobel(pixels, border):
    """(dx, dy): weights 1 2 1 across, −1 0 1 along. border: how OpenCV continues the image."""
    return tuple(cv2.Sobel(pixels, cv2.CV_64F, x, 1 - x, borderType=border) for x in (1, 0))


def gaussian_mean(pixels, window, sigma):
    """Weighted mean over each whole window of `window`×`window` pixels, by a Gaussian of that σ."""
    kernel, margin = cv2.getGaussianKernel(window, sigma), window // 2
    return cv2.sepFilter2D(pixels, cv2.CV_64F, kernel, kernel)[margin:-margin, margin:-margin]


def ratio(x, y):
    """The smaller by the larger, 1 where they are equal, 0 where both are 0."""
    larger = np.maximum(x, y)
    return np.divide(np.minimum(x, y), larger, out=np.zeros_like(larger), where=larger > 0)


def sigmoid(x, gamma, kappa, sigma):
    """gamma / (1 + exp(−kappa·(x − sigma)))"""
    return gamma / (1 + np.exp(-kappa * (x - sigma)))


def stretched(pixels):
    """Gray levels so that the image goes from 0 to 255, as Z. Liu's toolbox has it; a flat image becomes black."""
    span = np.ptp(pixels)
    return np.floor((pixels - pixels.min()) / span * PEAK + 0.5) if span else np.zeros_like(pixels)
