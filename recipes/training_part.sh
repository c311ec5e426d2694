# The sequences that the shipped networks are trained on; set00/V000 and set01/V003 are kept for validation.
TRAINING_PART=()
for sequence in set00/V001 set00/V002 set00/V003 set00/V004 set01/V000 set01/V001 set01/V002 set02 set03; do
    TRAINING_PART+=("database/$sequence")
done
