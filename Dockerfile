# Two stages: wheels are installed by hash where there is a compiler and pip, and only what runs is taken over.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/stillgate
COPY requirements.lock requirements-build.lock ./
# Wheels only: nothing from a package index runs code while it is installed.
RUN /opt/stillgate/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY proxy proxy
COPY policies policies
RUN /opt/build/bin/hatchling build -t wheel -d /build/dist \
 && /opt/stillgate/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl \
 && /opt/stillgate/bin/pip uninstall --yes pip

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin stillgate \
 && install -d -o stillgate -g stillgate -m 0700 /var/lib/stillgate
COPY --from=build /opt/stillgate /opt/stillgate
COPY policies /etc/stillgate/policies
ENV PATH=/opt/stillgate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/var/lib/stillgate
USER 10001:10001
WORKDIR /var/lib/stillgate
VOLUME /var/lib/stillgate
EXPOSE 8080
# Everything that is written goes below /var/lib/stillgate: run it with a read-only root file system.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["stillgate", "health", "--data", "/var/lib/stillgate"]
ENTRYPOINT ["stillgate"]
CMD ["serve", "--host", "0.0.0.0", "--data", "/var/lib/stillgate"]
