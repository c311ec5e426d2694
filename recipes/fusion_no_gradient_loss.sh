#!/usr/bin/env bash
# The ablation without the gradient loss, from the root of the repository: bash recipes/fusion_no_gradient_loss.sh
. "$(dirname "$0")/stage_2.sh"
exec python train_conv_trans.py "${STAGE_2[@]}" --variant no_gradient_loss "$@"
