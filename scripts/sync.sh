#!/usr/bin/env bash
# Brings .venv up to date. Second runs do nothing: uv rebuilds an extension only when its sources changed.
set -eu
uv=$1
python=$2

"$uv" sync --locked --quiet --python "$python"
# An extension module lies in the source tree, where `git clean` may have taken it from a build that uv remembers.
for module in rust_features/python/candlewire_features/_features server/python/candlewire_server/_data_plane; do
    if ! compgen -G "$module*.so" >/dev/null; then
        room=candlewire-$(basename "$(dirname "$module")" | sed 's/candlewire_//')
        "$uv" sync --locked --quiet --python "$python" --reinstall-package "$room" --refresh-package "$room"
    fi
done
