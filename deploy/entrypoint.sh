#!/bin/sh
# A secret may come as a file: for X_FILE in the environment, X becomes what the file holds. Then the command.
set -eu
for name in CLIMKIT_USERNAME CLIMKIT_PASSWORD DAGSTER_POSTGRES_PASSWORD; do
    eval "file=\${${name}_FILE:-}"
    if [ -n "$file" ]; then
        value=$(cat "$file")
        export "$name=$value"
        unset "${name}_FILE"
    fi
done
exec "$@"
