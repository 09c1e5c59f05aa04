# syntax=docker/dockerfile:1
# Every image of the farm. What is done to the Debian tree stands in k8s/images/*.sh: `make images-prove` runs the same scripts in a
# clean tree without any engine.
#
#   docker build --target orchestrator   -t cinefarm/orchestrator   .
#   docker build --target worker         -t cinefarm/worker         .
#   docker build --target worker-nvidia  -t cinefarm/worker-nvidia  .
#   docker build --target worker-intel   -t cinefarm/worker-intel   .
ARG DEBIAN=debian:trixie-20251117-slim

FROM ${DEBIAN} AS base
ENV LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/cinefarm/bin:$PATH
COPY k8s/images/system.sh /build/
RUN /build/system.sh && rm -r /build

FROM base AS build
WORKDIR /build
COPY k8s/images/ ./k8s/images/
COPY pyproject.toml README.md LICENSE ./
COPY common/ ./common/
COPY orchestrator/ ./orchestrator/
COPY workers/ ./workers/
# wheels/: where it holds wheels, no index is asked (airgapped sites: `make wheels` fills it)
COPY k8s/images/wheels/ ./wheels/
RUN ./k8s/images/application.sh

FROM base AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG DEBIAN
LABEL org.opencontainers.image.title="Cinefarm" \
      org.opencontainers.image.description="A transcoding worker farm for DICOM video" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.vendor="Cinefarm maintainers" \
      org.opencontainers.image.base.name="docker.io/library/${DEBIAN}" \
      org.cyclonedx.sbom="/opt/cinefarm/sbom.cdx.json"
COPY --from=build /opt/cinefarm /opt/cinefarm
# the last of these is a folder, no secret
# hadolint ignore=DL3064
ENV CINEFARM_STATE_DIR=/var/lib/cinefarm CINEFARM_SCRATCH_DIR=/scratch CINEFARM_SECRETS_DIR=/run/secrets \
    CINEFARM_ALIVE_FILE=/scratch/alive
# the root file system may be read-only: the farm writes here, and nowhere else
VOLUME ["/var/lib/cinefarm", "/scratch", "/tmp"]
USER 10001:10001
WORKDIR /var/lib/cinefarm
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "cinefarm"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["/opt/cinefarm/bin/cinefarm-alive"]

FROM runtime AS orchestrator
# 8080: API, web page, metrics; 11112: DICOM listener
EXPOSE 8080 11112
CMD ["serve"]

FROM runtime AS worker
CMD ["worker"]

# The driver's libraries (libcuda, libnvidia-encode, libnvcuvid) come from the NVIDIA container runtime; FFmpeg is the wheel's own.
FROM worker AS worker-nvidia
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,video,utility
CMD ["worker", "--queue", "gpu.nvenc", "--queue", "cpu"]

FROM worker AS worker-intel
USER 0
COPY k8s/images/intel.sh /build/
RUN /build/intel.sh && rm -r /build
USER 10001:10001
CMD ["worker", "--queue", "gpu.vaapi", "--queue", "cpu"]
