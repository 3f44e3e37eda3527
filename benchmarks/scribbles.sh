#!/usr/bin/env bash
# The tables of docs/how-to/scribbles.md: partial cross entropy, with the dense CRF, with DFR, and full labels.
#
#     SEGABLATE_DATA=DIR benchmarks/scribbles.sh FOLDER [sample|segformer|camvid ...]
#
# Trained from simulated scribbles of the train split, reported on val with full labels, three seeds each. Every sweep is
# a folder of cells: given again, the same command goes on. STEPS, PROCESSES and FORMAT may be set.
set -euo pipefail
folder=$1
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(sample segformer camvid)
dfr="ce + 0.3*dfr + feature_consistency"
mkdir -p "$folder"

sweep() { # NAME NETWORK DATASET STEPS DENSE_CRF more...
    local name=$1 network=$2 data=$3 steps=$4 crf=$5
    shift 5
    segablate ablate ce "$network" "$data" --train full --labels scribble --ceiling --against "ce + $crf,$dfr" \
        --seeds 3 --steps "${STEPS:-$steps}" --processes "${PROCESSES:-1}" --save "$folder/$name" "$@" \
        --format "${FORMAT:-rich}" | tee "$folder/$name.txt"
}

for part in "${parts[@]}"; do
    case $part in
    sample)
        sweep sample small sample 300 "5e-06*dense_crf(sigma_xy=25)" --group-by '^([a-z]+\d+)_' --boundary-tolerance 2 \
            --set rate=0.012 --set batch=4 --set crop=96x144 --set brightness=0.2 --set contrast=0.2
        ;;
    segformer)
        python -c "import sys; from transformers import SegformerConfig as Config; \
Config(depths=[1, 1, 1, 1], decoder_hidden_size=64).save_pretrained(sys.argv[1])" "$folder/segformer-config"
        sweep segformer "hf:$folder/segformer-config" sample 200 "5e-06*dense_crf(sigma_xy=25)" --group-by '^([a-z]+\d+)_' \
            --boundary-tolerance 2 --set rate=0.001 --set batch=4 --set crop=96x144 --set brightness=0.2 --set contrast=0.2
        ;;
    camvid)
        sweep camvid small "camvid:${SEGABLATE_DATA:?names the folder of the real data}/camvid" 300 \
            "3.7e-06*dense_crf(sigma_xy=35)" --group-by '_(\d{4})' --boundary-tolerance 2 \
            --set rate=0.008 --set batch=4 --set resize=180x240 --set crop=128x128 --set brightness=0.2 --set contrast=0.2
        ;;
    *)
        echo "no part is called $part; available: sample, segformer, camvid" >&2
        exit 2
        ;;
    esac
done
