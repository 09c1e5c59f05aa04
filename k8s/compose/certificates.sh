#!/bin/sh
# Certificates for k8s/compose/tls.yaml: an authority of this server's own, and one certificate for each part. Run secrets.sh before.
# The same again renews what ends within 30 days and changes nothing else. The site's own certificates may lie in their places.
#   k8s/compose/certificates.sh [FOLDER] [NAME...]      NAME: how people and archives call this server, for the web page's certificate
set -eu
cd "$(dirname "$0")"
folder=${1:-secrets}
test $# -eq 0 || shift
test -s "$folder/broker_password" || { echo "run secrets.sh before: $folder has no passwords" >&2; exit 1; }
mkdir -p "$folder/tls"
cd "$folder/tls"
umask 022
days=397 # most that browsers take

ends_soon() { ! test -s "$1.pem" || ! openssl x509 -in "$1.pem" -noout -checkend 2592000 >/dev/null; }
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; } # readable by us alone

if ends_soon ca; then
    key ca # it signs for everybody: no container gets it
    openssl req -x509 -new -key ca.key -subj "/CN=Cinefarm of this server" -days 3650 -out ca.pem \
        -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
    rm -f broker.pem ledger.pem minio.pem orchestrator.pem
    echo "made ca.pem: browsers and archives that shall trust this server take it"
fi

sign() { # NAME SUBJECT-ALTERNATIVE-NAMES
    ends_soon "$1" || return 0
    key "$1" && chmod 0644 "$1.key" # as the other secrets: the folder keeps others out
    printf 'subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n' "$2" >"$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$1" |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days $days -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm "$1.ext"
    echo "made $1.pem"
}
local="DNS:localhost,IP:127.0.0.1"
names=""
for name in "$@"; do
    case $name in *[!0-9.]*) names="$names,DNS:$name" ;; *) names="$names,IP:$name" ;; esac
done
sign broker "DNS:broker,$local"
sign ledger "DNS:ledger,$local"
sign minio "DNS:minio,$local"
sign orchestrator "DNS:orchestrator,$local$names"

# the URLs of the plain farm, with TLS that is verified
sed 's|^redis://|rediss://|' ../cinefarm_broker_url >cinefarm_broker_url
printf '%s?sslmode=verify-full&sslrootcert=/run/secrets/tls_ca' "$(cat ../cinefarm_ledger_url)" >cinefarm_ledger_url
