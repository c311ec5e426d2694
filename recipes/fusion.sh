#!/usr/bin/env bash
# Stage 2 of the weights in results/models, from the root of the repository: bash recipes/fusion.sh
. "$(dirname "$0")/stage_2.sh"
exec python train_conv_trans.py "${STAGE_2[@]}" "$@"
