"""All functions of `torch.nn.functional` that there are, by PyTorch's names."""

import sys as _sys

from .. import functional as _functional
from ..functional.face import FUNCTIONS as _FUNCTIONS
from ..functional.face import namespace as _namespace

_NAMES = """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
adaptive_max_pool2d adaptive_max_pool3d affine_grid alpha_dropout avg_pool1d avg_pool2d
avg_pool3d batch_norm bilinear binary_cross_entropy binary_cross_entropy_with_logits celu
celu_ channel_shuffle conv1d conv2d conv3d conv_transpose1d conv_transpose2d
conv_transpose3d cosine_embedding_loss cosine_similarity cross_entropy ctc_loss dropout
dropout1d dropout2d dropout3d elu elu_ embedding embedding_bag feature_alpha_dropout fold
fractional_max_pool2d fractional_max_pool3d gaussian_nll_loss gelu glu grid_sample
group_norm gumbel_softmax hardshrink hardsigmoid hardswish hardtanh hardtanh_
hinge_embedding_loss huber_loss instance_norm interpolate kl_div l1_loss layer_norm
leaky_relu leaky_relu_ linear linear_cross_entropy local_response_norm
log_softmax logsigmoid lp_pool1d
lp_pool2d lp_pool3d margin_ranking_loss max_pool1d max_pool2d max_pool3d max_unpool1d
max_unpool2d max_unpool3d mish mse_loss multi_head_attention_forward multi_margin_loss
multilabel_margin_loss multilabel_soft_margin_loss nll_loss normalize one_hot pad
pairwise_distance pdist pixel_shuffle pixel_unshuffle poisson_nll_loss prelu relu relu6
relu_ rms_norm rrelu rrelu_ scaled_dot_product_attention selu selu_ sigmoid silu
smooth_l1_loss soft_margin_loss softmax softmin softplus softshrink softsign tanh
tanhshrink threshold threshold_ triplet_margin_loss triplet_margin_with_distance_loss
unfold upsample upsample_bilinear upsample_nearest
adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices
adaptive_max_pool3d_with_indices fractional_max_pool2d_with_indices
fractional_max_pool3d_with_indices max_pool1d_with_indices max_pool2d_with_indices
max_pool3d_with_indices conv_tbc
mape_loss log_cosh_loss cauchy_loss tukey_loss multiclass_hinge_loss
squared_expectation_loss binary_crossentropy
"""


def _find():
    """Names and functions: those of the modules that write them for networks come first."""
    modules = [getattr(_functional, m, None) for m in _MODULES]
    for name in _NAMES.split():
        for table in [*(vars(m) for m in modules if m), _FUNCTIONS]:
            if callable(table.get(name)):
                yield name, table[name]
                break


_MODULES = [
    "activation",
    "attention",
    "heads",
    "distances",
    "losses",
    "binary_losses",
    "class_losses",
    "triplet_losses",
    "ctc",
    "normalization",
    "convolution",
    "embeddings",
    "pooling",
    "adaptive_pooling",
    "resampling",
    "random",
    "padding",
]
_namespace(_sys.modules[__name__], dict(_find()))
__all__ = [name for name in _NAMES.split() if name in globals()]
