#!/bin/sh
# The application with its locked dependencies in /opt/cinefarm, and a bill of materials beside it. Runs in the folder that holds
# pyproject.toml; wheels/ is used in place of any index where it holds wheels.
set -eu
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1
apt-get update -qq
apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends python3-venv

from=""
if ls wheels/*.whl >/dev/null 2>&1; then from="--no-index --find-links wheels"; fi

python3 -m venv /build-env
# shellcheck disable=SC2086  # $from is a list of words
/build-env/bin/pip install --quiet --require-hashes --no-deps $from -r k8s/images/build.lock
/build-env/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

python3 -m venv /opt/cinefarm
# shellcheck disable=SC2086
/opt/cinefarm/bin/pip install --quiet --require-hashes --no-deps $from -r k8s/images/requirements.lock
/opt/cinefarm/bin/pip install --quiet --no-deps --no-index dist/cinefarm-*.whl

/build-env/bin/cyclonedx-py environment --output-format JSON --output-file /opt/cinefarm/sbom.cdx.json /opt/cinefarm/bin/python
/opt/cinefarm/bin/python -m pip uninstall --quiet --yes pip
/opt/cinefarm/bin/python -m compileall -q -j 0 /opt/cinefarm/lib || true  # some wheels carry files of other Pythons
install -m 0755 k8s/images/alive.sh /opt/cinefarm/bin/cinefarm-alive
