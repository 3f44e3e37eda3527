#!/usr/bin/env bash
# The training ablations of docs/explanation/camvid-trainings.md: CamVid at half resolution, three seeds each.
#
#     SEGABLATE_DATA=DIR benchmarks/camvid_trainings.sh FOLDER [STEPS_ESPNET] [STEPS_SMALL]
#
# Trained on train, reported on val. Every sweep is a folder of cells: given again, the same command goes on.
set -euo pipefail
data=${SEGABLATE_DATA:?names the folder of the real data}
folder=$1 espnet_steps=${2:-300} small_steps=${3:-800}
here=$(cd "$(dirname "$0")/.." && pwd)
espnet="python:$here/examples/espnet.py:espnet(num_classes=12)@$data/checkpoints/espnet_p_2_q_8_camvid.pth"
stated=(--channels bgr --scale 1 --mean 110.33102643,108.40886315,105.03319369 --std 72.12571015,72.69074534,69.90434816
        --divisor 255 --pad-to-multiple 8)
common=(--seeds 3 --set resize=180x240 --set crop=160x224 --set batch=8 --set brightness=0.2 --set contrast=0.2
        --group-by '_(\d{4})' --boundary-tolerance 2)

sweep() { # NAME LOSS NETWORK STEPS RATE more...
    local name=$1 loss=$2 network=$3 steps=$4 rate=$5
    shift 5
    segablate ablate "$loss" "$network" "camvid:$data/camvid" --train full --steps "$steps" --set "rate=$rate" --gradient-images all \
        "${common[@]}" --save "$folder/$name" "$@" --format "${FORMAT:-rich}" | tee "$folder/$name.txt"
}

mkdir -p "$folder"
for network in espnet small; do
    if [ "$network" = espnet ]; then
        start=$espnet steps=$espnet_steps rate=0.0005 more=("${stated[@]}")
    else
        start=small steps=$small_steps rate=0.008 more=()
    fi
    sweep "$network-rmi" rmi "$start" "$steps" "$rate" --radius 1,3,5 --against ce "${more[@]}"
    sweep "$network-recall" recall "$start" "$steps" "$rate" --prior-hits 0,100 --momentum 0,0.9 --against ce "${more[@]}"
    sweep "$network-cpg" cpg "$start" "$steps" "$rate" --width official,1,3 --against ce "${more[@]}"
done
