#!/usr/bin/env bash
# Teaches a speaker-verification network with a face network, and scores and matches it.
#
#   bash recipes/voxceleb/run.sh [--stage N] [--stop-stage M] [--corpus mini|voxceleb|folder] [options]
#
# Stages: 0 corpus  1 data directories  2 Fbank, faces, teacher  3 train  4 score  5 match  6 report.
# Each can be run alone, does only what is missing or out of date, and says which stage makes what it lacks.
#
# Options (each is a variable below):
#   --corpus mini            made here from packages, no download (default)
#   --corpus voxceleb        your VoxCeleb: --voxceleb2 DIR (with dev/aac, dev/mp4), --voxceleb1 DIR (wav, lists), --weights IR50.pth
#   --corpus folder          your own pairs: --audio-root DIR --image-root DIR --pattern REGEX --weights FILE
#   --musan DIR              noises for the noisy scores
#   --systems "A B"          configs of recipes/voxceleb/conf to train and compare
#   --teacher, --jobs, --data, --exp, --sizes FILE (a config laid over each system's, e.g. a smaller network)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

stage=0 stop_stage=6
corpus=mini
voxceleb1= voxceleb2= musan=
audio_root= image_root= pattern=
teacher=ir50 weights=
systems="baseline margin"
sizes= jobs=$(nproc) data= exp=
source tools/parse_options.sh
bash tools/install.sh
