# The sequences that the shipped networks are trained on; the others of set00 to set05 are kept for validation.
TRAINING_PART=()
for sequence in set00/V001 set00/V002 set00/V003 set00/V004 set00/V005 set00/V006 set00/V007 set00/V008 set00/V009 \
                set01/V001 set01/V002 set02/V001 set03/V001 set04 set05/V000; do
    TRAINING_PART+=("database/$sequence")
done
