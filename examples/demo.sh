#!/bin/sh
# The main job on real data: an audit, and a folder of images and a table from raw files to a trained network and answers.
set -eu
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

rm -rf demo
say python examples/demo_data.py demo
say netwright audit demo/damaged.csv --target diagnosis --fail-on never
say netwright fix demo/damaged.csv demo/fixes.csv --target diagnosis
say netwright train demo/digits --run demo/runs/digits
say netwright train demo/cancer.csv --target diagnosis --run demo/runs/cancer
say netwright show demo/runs/digits
say netwright weights demo/runs/cancer --top 5
say netwright weights demo/runs/digits --top 3 --picture demo/filters.png
say netwright predict demo/runs/digits demo/digits/3 --to demo/answers.csv
say netwright diagnose demo/runs/cancer --fail-on never --page demo/diagnosis.html
say netwright attack demo/runs/digits --rows 64 --fail-on never --picture demo/attack.png
printf '\nLook at demo/fixes.csv (what the audit proposes), demo/answers.csv (predictions), demo/diagnosis.html (what was seen of a training), demo/filters.png (what the first layer sees), demo/attack.png (pictures that fool the network) and the run folders in demo/runs/.\n'
