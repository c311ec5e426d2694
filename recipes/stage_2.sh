# What the three fusion networks have in common. The ablations are trained on the same encoders, pairs and schedule.
. "$(dirname "$0")/training_part.sh"
STAGE_2=(--path "${TRAINING_PART[@]}" --batch 2 --epochs 2 --full_rate_epochs 1 --deep_start 0 --seed 2024
         --cache_features output/deep_features)
