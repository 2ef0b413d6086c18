# syntax=docker/dockerfile:1
# The server as an image: `docker build .` makes the one for a CPU, `--target cuda` and `--target tensorrt` those for an NVIDIA GPU.
# `--build-arg SPEECH=1` adds the voices that speak a text; espeak-ng among them is under the GPL. `--build-arg SCALE=1` adds what several
# machines share their jobs by, and Ray Serve.
# docs/deployment.md says how it is run. tests/deployment/test_container.py follows these steps where there is no Docker.
#
# The base is named by release. An image that must come out the same is built on its digest, which changes with each security update:
#   docker buildx imagetools inspect debian:trixie-slim       prints it
#   docker build --build-arg BASE=debian:trixie-slim@sha256:... .
ARG BASE=debian:trixie-slim

# What every image has of the system, and who runs in it.
FROM ${BASE} AS system
ENV DEBIAN_FRONTEND=noninteractive
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean \
    && apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libegl1 libfribidi0 libgl1 libgles2 libglib2.0-0t64 python3
RUN groupadd --gid 1000 talking-head \
    && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /cache --shell /usr/sbin/nologin talking-head \
    && install -d -o 1000 -g 1000 -m 700 /cache /models /outputs

# Packages are installed in stages of their own, so that pip and its cache stay out of the images.
FROM system AS installer
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && python3 -m venv /opt/venv
WORKDIR /build
COPY requirements-lite.txt requirements-speech.txt requirements-cluster.txt requirements-ray.txt requirements.txt ./

FROM installer AS packages-cpu
ARG SPEECH=""
ARG SCALE=""
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --only-binary :all: --disable-pip-version-check -r requirements-lite.txt \
    ${SPEECH:+-r requirements-speech.txt -c requirements.txt onnxruntime} ${SCALE:+-r requirements-cluster.txt -r requirements-ray.txt}

FROM installer AS packages-cuda
ARG SPEECH=""
ARG SCALE=""
COPY requirements-gpu.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --only-binary :all: --disable-pip-version-check -r requirements-gpu.txt \
    ${SPEECH:+-r requirements-speech.txt} ${SCALE:+-r requirements-cluster.txt -r requirements-ray.txt}

FROM packages-cuda AS packages-tensorrt
COPY requirements-tensorrt.txt ./
# The package fetches NVIDIA's libraries from NVIDIA's own index while it installs, so it is no plain wheel.
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --disable-pip-version-check -r requirements-tensorrt.txt

# The project, which only root could change.
FROM system AS app
WORKDIR /app
COPY api_server.py app.py app_optimized.py inference.py model_manager.py LICENSE NOTICE ./
COPY assets ./assets
COPY manager ./manager
COPY integrations ./integrations
COPY core ./core
COPY deploy ./deploy
RUN python3 -m compileall -q .
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/cache \
    XDG_CACHE_HOME=/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DITTO_MODELS_DIR=/models \
    TALKING_HEAD_CACHE_DIR=/cache/talking-head \
    TALKING_HEAD_OUTPUT_DIR=/outputs/talking-head
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Talking Head" \
      org.opencontainers.image.description="One portrait photo and one speech recording become a talking-head video" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
VOLUME ["/cache", "/models", "/outputs"]
EXPOSE 8000
USER 1000:1000
# It is healthy when it can make videos. No proxy of the environment is asked.
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=4 \
    CMD ["/opt/venv/bin/python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=8); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/venv/bin/python", "/app/api_server.py"]
CMD ["--host", "0.0.0.0", "--port", "8000"]

# For an NVIDIA GPU. The packages bring CUDA; the driver is the host's, put in by the NVIDIA Container Toolkit.
FROM app AS app-gpu
USER 0
# Triton compiles what launches its kernels; without a compiler PyTorch runs in their place, slower.
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000

FROM app-gpu AS cuda
COPY --from=packages-cuda /opt/venv /opt/venv

FROM app-gpu AS tensorrt
COPY --from=packages-tensorrt /opt/venv /opt/venv

# The last stage is what a build without --target makes.
FROM app AS cpu
COPY --from=packages-cpu /opt/venv /opt/venv
