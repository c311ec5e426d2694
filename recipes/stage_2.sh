# What the three fusion networks have in common. set06, enlarged from 128×128, is for stage 2 only.
. "$(dirname "$0")/training_part.sh"
STAGE_2=(--path "${TRAINING_PART[@]}" database/set06 --epochs 2 --deep_start 0 --seed 2024
         --cache_features output/deep_features)
