#!/bin/sh
# Random passwords for compose.yaml, each in a file. What exists stays: delete a file to have it made anew (docs/deploy.md, rotation).
#   k8s/compose/secrets.sh [FOLDER]
set -eu
cd "$(dirname "$0")"
folder=${1:-secrets}
# the folder keeps others of this server out: the engine opens the files for its containers, whose users then read them
mkdir -p "$folder" && chmod 0700 "$folder"
cd "$folder"
umask 022

random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
once() { test -s "$1" || { printf '%s' "$2" >"$1"; echo "made $1"; }; }

once broker_password "$(random)"
once ledger_password "$(random)"
once minio_root_user root
once minio_root_password "$(random)"
once minio_kms_key "cinefarm:$(head -c 32 /dev/urandom | base64 | tr -d '\n')"
once cinefarm_s3_access_key cinefarm
once cinefarm_s3_secret_key "$(random)"
once cinefarm_flower_basic_auth "operator:$(random)"
once grafana_password "$(random)"
once admin_token "$(random)"
once metrics_token "$(random)"

# what follows from them is written each time
printf 'redis://:%s@broker:6379/0' "$(cat broker_password)" >cinefarm_broker_url
printf 'postgresql+psycopg://cinefarm:%s@ledger:5432/cinefarm' "$(cat ledger_password)" >cinefarm_ledger_url
cat >broker.conf <<END
requirepass $(cat broker_password)
maxmemory 512mb
maxmemory-policy noeviction
save ""
appendonly no
dir /tmp
END
digest() { sha256sum "$1" | cut -d' ' -f1; }
printf 'admin:%s\nmetrics:%s\n' "$(digest admin_token)" "$(digest metrics_token)" >api_tokens
echo "The token of the API and the web page is in $folder/admin_token, Flower's login in $folder/cinefarm_flower_basic_auth."
