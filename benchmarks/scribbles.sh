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
here=$(dirname "$0")
dfr="ce + 0.3*dfr + feature_consistency" tenth="ce + 0.03*dfr + feature_consistency"
mkdir -p "$folder"

strokes() { # NAME DATASET WIDTH: about 3 % of the pixels
    [ -d "$folder/$1-strokes" ] || segablate datasets scribble "$2" --split train --width "$3" --out "$folder/$1-strokes"
}

crf() { # NAME DATASET SIZE CROP: the term of the published weight, carried over to this size
    local told=$folder/$1-crf.txt
    [ -s "$told" ] || python "$here/dense_crf_weight.py" "$2" "$3" --crop "$4" --images 2 >"$told"
    sed -n 's/^weight \(\S*\) with \(sigma_xy=[0-9]*\).*/\1*dense_crf(\2)/p' "$told"
}

sweep() { # NAME STROKES NETWORK DATASET STEPS OBJECTIVES more...
    local name=$1 labels=$folder/$2-strokes network=$3 data=$4 steps=$5 against=$6
    shift 6
    segablate ablate ce "$network" "$data" --train full --labels "$labels" --ceiling --seeds 3 --steps "${STEPS:-$steps}" \
        --against "$against" --boundary-tolerance 2 --set batch=4 \
        --set brightness=0.2 --set contrast=0.2 --processes "${PROCESSES:-1}" --save "$folder/$name" "$@" \
        --format "${FORMAT:-rich}" | tee "$folder/$name.txt"
}

for part in "${parts[@]}"; do
    case $part in
    sample)
        strokes sample sample 1
        sweep sample sample small sample 150 "ce + $(crf sample sample 128x192 96x144),$dfr,$tenth" --set rate=0.012 \
            --set crop=96x144 --group-by '^([a-z]+\d+)_'
        ;;
    segformer)
        strokes sample sample 1
        python -c "import sys; from transformers import SegformerConfig; SegformerConfig().save_pretrained(sys.argv[1])" \
            "$folder/segformer-b0"
        sweep segformer sample "hf:$folder/segformer-b0" sample 60 "ce + $(crf sample sample 128x192 96x144),$dfr,$tenth" \
            --set rate=0.001 --set crop=96x144 --group-by '^([a-z]+\d+)_'
        ;;
    camvid)
        data=camvid:${SEGABLATE_DATA:?names the folder of the real data}/camvid
        strokes camvid "$data" 2
        sweep camvid camvid small "$data" 150 "ce + $(crf camvid "$data" 180x240 128x128),$dfr,$tenth" --set rate=0.008 \
            --set resize=180x240 --set crop=128x128 --group-by '_(\d{4})'
        ;;
    *)
        echo "no part is called $part; available: sample, segformer, camvid" >&2
        exit 2
        ;;
    esac
done
