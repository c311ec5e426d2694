# What the three fusion networks have in common. The ablations end after the first epoch, and are compared with the network of that epoch.
. "$(dirname "$0")/training_part.sh"
STAGE_2=(--path "${TRAINING_PART[@]}" --batch 2 --epochs 2 --full_rate_epochs 1 --deep_start 0 --seed 2024
         --cache_features output/deep_features)
