#!/usr/bin/env bash
# Stage 1 of the weights in results/models, from the root of the repository: bash recipes/autoencoder_ir.sh
. "$(dirname "$0")/training_part.sh"
exec python train_autoencoder.py --type_flag ir --path "${TRAINING_PART[@]}" --epochs 2 --seed 2024 "$@"
