"""The metrics by name, from one place: `from tools.fusion_metrics import en, mi, vif`.
Definitions: tools/evaluation/metrics."""
from tools.evaluation.metrics import METRICS, MORE_METRICS
from tools.evaluation.metrics.features import ag, ei, nabf, q_g, q_m, q_sf, qabf, sd, sf
from tools.evaluation.metrics.information import ce, en, fmi, mi, q_mi, q_ncie, q_te
from tools.evaluation.metrics.perception import q_cb, q_cv, vif, viff
from tools.evaluation.metrics.phase import q_p
from tools.evaluation.metrics.similarity import cc, ms_ssim, mse, psnr, q_c, q_s, q_y, scd, ssim

__all__ = ['METRICS', 'MORE_METRICS', 'ag', 'cc', 'ce', 'ei', 'en', 'fmi', 'mi', 'ms_ssim', 'mse', 'nabf', 'psnr',
           'q_c', 'q_cb', 'q_cv', 'q_g', 'q_m', 'q_mi', 'q_ncie', 'q_p', 'q_s', 'q_sf', 'q_te', 'q_y', 'qabf', 'scd',
           'sd', 'sf', 'ssim', 'vif', 'viff']
