#!/usr/bin/env bash
# The ablation that merges the modalities by convolutions, from the root of the repository: bash recipes/fusion_cnn.sh
. "$(dirname "$0")/stage_2.sh"
exec python train_conv_trans.py "${STAGE_2[@]}" --variant cnn "$@"
