"""Metrics of image fusion: how good is the fused image F of an infrared image A (`ir`) and a visible image B (`vi`)?

Every function takes H×W arrays of one size, of any real type, with values on the scale 0…255, and returns a float:

    from tools.evaluation.metrics.features import qabf
    print(qabf(fused, ir, vi))

It takes a tools.evaluation.metrics.image.Image for an array, too, which remembers what was computed of it. A new
metric is a function in the file of its family and a line in the table METRICS or MORE_METRICS; it is then in all
tables and figures of the evaluation.

ValueError: an argument is not an array of two dimensions, is empty, holds NaN, infinite values or values outside 0…255,
differs in size from the others, is too small for the metric, or flat where the metric's docstring says that it must not
be. Other flat images give what the docstrings say.
"""
from functools import partial
from typing import Callable, NamedTuple

from tools.evaluation.metrics import features, information, perception, phase, similarity

HIGHER, LOWER, NEAR_0 = 'higher', 'lower', 'near 0'


class Metric(NamedTuple):
    """A metric as a table shows it."""
    name: str
    compute: Callable     # (fused, ir, vi) -> float, each H×W on the scale 0…255
    better: str = HIGHER  # which values are: one of HIGHER, LOWER and NEAR_0
    kin: str = ''         # shared by metrics that all but repeat each other, which a mean rank counts as one

    @property
    def lower_is_better(self):
        """Of what `graded` gives."""
        return self.better != HIGHER

    @property
    def arrow(self):
        """What stands behind the name in tables."""
        return {HIGHER: '↑', LOWER: '↓', NEAR_0: '→0'}[self.better]

    def graded(self, values):
        """Values by which methods can be ranked: the distance from 0 if 0 is best, else themselves."""
        return abs(values) if self.better == NEAR_0 else values


def of_fused(function):
    """A metric of the fused image alone, called like one that takes its sources too."""
    return lambda fused, ir, vi: function(fused)


METRICS = (
    Metric('EN', of_fused(information.en)),
    Metric('SD', of_fused(features.sd)),
    Metric('MI', information.mi),
    Metric('SF', of_fused(features.sf)),
    Metric('AG', of_fused(features.ag)),
    Metric('CC', similarity.cc),
    Metric('SCD', similarity.scd),
    Metric('VIF', perception.vif),
    Metric('Qabf', features.qabf),
    Metric('Nabf', features.nabf, LOWER),
    Metric('MSE', similarity.mse, LOWER, kin='error'),
    Metric('PSNR', similarity.psnr, kin='error'),
    Metric('SSIM', similarity.ssim),
    Metric('MS-SSIM', similarity.ms_ssim),
    Metric('FMI_pixel', partial(information.fmi, feature='pixel'), kin='FMI'),
    Metric('FMI_dct', partial(information.fmi, feature='dct'), kin='FMI'),
    Metric('FMI_w', partial(information.fmi, feature='wavelet'), kin='FMI'),
    Metric('FMI_gradient', partial(information.fmi, feature='gradient'), kin='FMI'),
)

# Computed when asked for by name, or with `--metrics every`.
MORE_METRICS = (
    Metric('CE', information.ce, LOWER),
    Metric('EI', of_fused(features.ei)),
    Metric('Q_MI', information.q_mi),
    Metric('Q_TE', information.q_te),
    Metric('Q_NCIE', information.q_ncie),
    Metric('Q_G', features.q_g),
    Metric('Q_M', features.q_m),
    Metric('Q_SF', features.q_sf, NEAR_0),
    Metric('Q_P', phase.q_p),
    Metric('Q_S', similarity.q_s),
    Metric('Q_C', similarity.q_c),
    Metric('Q_Y', similarity.q_y),
    Metric('Q_CV', perception.q_cv, LOWER),
    Metric('Q_CB', perception.q_cb),
    Metric('VIFF', perception.viff),
)
