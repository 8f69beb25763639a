#!/usr/bin/env sh
# One picture: damage it, restore it, ask which experts fired.
set -eu
here=$(dirname "$0")
out=${1:-out}
mkdir -p "$out"
moce restore "$here/pictures/coffee_noise25.png" -o "$out/coffee.png" --overwrite
moce info "$here/pictures/coffee_noise25.png"
