# Every stage stands on one base, since a virtual environment belongs to the Python it was made with.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS builder
ENV PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY requirements.lock ./
# What serves is installed from files whose hashes are known, and never compiled here. The
# environment has no pip of its own: nobody needs one where nothing is to be installed any more.
RUN python3 -m venv /tmp/tools \
 && python3 -m venv --without-pip /opt/millisight \
 && /tmp/tools/bin/pip wheel --require-hashes --only-binary :all: --wheel-dir /wheels \
      --requirement requirements.lock \
 && /tmp/tools/bin/pip --python /opt/millisight/bin/python install --no-index --no-deps \
      --find-links /wheels --require-hashes --requirement requirements.lock \
# What OpenVINO brings for graphics cards and compilers: 66 MB that nothing here loads.
 && find /opt/millisight -path '*/openvino/*' \
      \( -name '*_intel_gpu_*' -o -name '*_intel_npu_*' -o -name cache.json -o -path '*/include/*' \) \
      -delete
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /tmp/tools/bin/pip wheel --no-deps --wheel-dir /wheel . \
 && /tmp/tools/bin/pip --python /opt/millisight/bin/python install --no-index --no-deps /wheel/*.whl

FROM builder AS resnet18
# auto: where the host of the weights can be reached; yes: or fail; no: serve the starter.
ARG WITH_RESNET18=auto
ARG WEIGHTS_MIRROR=https://download.pytorch.org/models
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY deploy/image/bake-resnet18 /tmp/bake-resnet18
RUN mkdir -p /bundles && sh /tmp/bake-resnet18 /bundles

# hadolint ignore=DL3006
FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="millisight" \
      org.opencontainers.image.description="Image classification in milliseconds on a plain CPU" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Nothing that installs or raises rights is left: no pip, no setuid. The user has no home to write.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
      /usr/local/bin/pip* /usr/lib/python3*/ensurepip /usr/share/python-wheels \
      /usr/lib/python3/dist-packages/pip* /usr/bin/pip* \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && groupadd --gid 10001 millisight \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin millisight
COPY --from=builder /opt/millisight /opt/millisight
COPY --from=resnet18 /bundles /var/lib/millisight/bundles
COPY deploy/image/healthcheck.py /opt/millisight/healthcheck.py
ENV PATH=/opt/millisight/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MILLISIGHT_HOST=0.0.0.0 \
    MILLISIGHT_PORT=8000 \
    MILLISIGHT_HOME=/var/lib/millisight
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-I", "-S", "/opt/millisight/healthcheck.py"]
ENTRYPOINT ["millisight"]
CMD ["serve"]
