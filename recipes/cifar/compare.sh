#!/usr/bin/env bash
# Trains what Tables 7, 8 and 10 to 12 and Fig. 9 of the first paper compare, and puts its figures beside ours.
#
#   bash recipes/cifar/compare.sh [--tables "7 10 11 12 fig9"] [--seeds "1 2 3"] [options of run.sh]
#
# Table 8 (matching) is measured on the networks of Table 7. A part whose experiments are finished is only reported.
# The paper's pictures have 224 pixels: --size recipes/cifar/conf/size/224.yaml; the default, 32, costs a 49th.
#
#   --corpus NAME        cifar100 (default) or cifar10, prepared and taught by run.sh --stop-stage 1
#   --networks "A B"     for Table 7: "resnet18 resnet34"
#   --set "a.b=c"        settings to change in all of them, such as train.epochs=30;  --work DIR, --size FILE: as in run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tables="7 10 11 12 fig9" work=. seeds=1 corpus=cifar100 networks="resnet18 resnet34"
size=recipes/cifar/conf/size/32.yaml set=''
methods="baseline fitnet sp ickd pkt ccl clip margin margin_quality classifier"
source tools/parse_options.sh
source tools/recipe.sh
PATH=$PWD/.venv/bin:$PATH

run() { # run SETTINGS OPTIONS...: train and evaluate what is not finished yet
    local settings=$1; shift
    bash recipes/cifar/run.sh --stage 2 --stop-stage 3 --corpus "$corpus" --seeds "$seeds" --size "$size" \
        --work "$work" --set "$set $settings" "$@"
}
report() { # report TABLE NAME...: ours beside the paper's, of experiments of these names, with and without -seedN
    local table=$1 name folders=(); shift
    for name in "$@"; do
        mapfile -t -O ${#folders[@]} folders < <(
            compgen -G "$work/exp/$corpus-$name" || true
            compgen -G "$work/exp/$corpus-$name-seed*" || true
        )
    done
    echo "== Table $table"
    speakerkd report "${folders[@]}" --published --out "$work/exp/$corpus-table$table.html"
}

for table in $tables; do
    case $table in
        7)
            names=()
            for network in $networks; do
                run '' --network "$network" --systems "$methods"
                for method in $methods; do names+=("$network-$method"); done
            done
            report 7 "${names[@]}" ;;
        10) # the share of the teacher's own embedding; 0.6 is Table 7's
            run '' --network resnet34 --systems margin
            for alpha in 0.2 0.4 0.5 0.8; do
                run "projection.alpha=$alpha" --network resnet34 --systems margin --variant "alpha$alpha"
            done
            report 10 resnet34-margin_alpha{0.2,0.4,0.5} resnet34-margin resnet34-margin_alpha0.8 ;;
        11) # the weight of the logits' distance; 1 is Table 7's
            run '' --network resnet34 --systems classifier
            for beta in 0 2; do
                run "distill.0.beta=$beta" --network resnet34 --systems classifier --variant "beta$beta"
            done
            report 11 resnet34-classifier_beta0 resnet34-classifier resnet34-classifier_beta2 ;;
        12) # the margin
            names=()
            for network in $networks; do
                for margin in 0 0.1 0.2 0.3 0.4; do
                    run '' --network "$network" --systems margin --margin "$margin^2" --variant "m$margin"
                    names+=("$network-margin_m$margin")
                done
            done
            report 12 "${names[@]}" ;;
        fig9) # less data; all of it is Table 7's
            run '' --network resnet18 --systems "baseline margin classifier"
            for share in 0.25 0.50; do
                run "data.fraction=$share" --network resnet18 --systems "baseline margin classifier" --variant "share$share"
            done
            report fig9 resnet18-{baseline,margin,classifier}{_share0.25,_share0.50,} ;;
        *) fail 2 "no table '$table', known: 7 10 11 12 fig9" ;;
    esac
done
