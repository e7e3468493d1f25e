# Two stages: wheels are installed by hash where there is a compiler and pip, and only what runs is taken over.
FROM python:3.13-slim AS build
# Anything but nothing brings the extras too: cel, otel and review.
ARG EXTRAS=""
WORKDIR /build
RUN python -m venv /opt/stillgate
COPY requirements.lock requirements-extras.lock requirements-build.lock ./
# Wheels only: nothing from a package index runs code while it is installed.
RUN /opt/stillgate/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements${EXTRAS:+-extras}.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY proxy proxy
COPY policies policies
COPY supply supply
# Whoever the image runs as can read them, also where the umask of who checked them out said otherwise.
RUN chmod -R u=rwX,go=rX policies
# The bill of materials says no if anything is there that was not locked.
RUN /opt/build/bin/hatchling build -t wheel -d /build/dist \
 && /opt/stillgate/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl \
 && /opt/stillgate/bin/pip uninstall --yes pip \
 && /opt/stillgate/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/stillgate/lib/python3.13/site-packages \
 && /opt/build/bin/python -m supply.sbom --alone requirements${EXTRAS:+-extras}.lock \
    /opt/stillgate/lib/python3.13/site-packages ${EXTRAS:+cel otel review} > /opt/stillgate/sbom.cdx.json

FROM python:3.13-slim
# The image comes without the standard library's bytecode, and who runs in ours may write none: each process would
# compile it anew, a third of a second long. It is not checked against times of files, which a layer need not keep.
# The last thing that the shell does is to take itself away; pip and Debian's package tools go with it.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin stillgate \
 && install -d -o stillgate -g stillgate -m 0700 /var/lib/stillgate \
 && python -m pip uninstall --yes --root-user-action ignore pip \
 && python -m compileall -q --invalidation-mode unchecked-hash /usr/local/lib/python3.13 \
 && rm -f /usr/bin/apt* /usr/bin/dpkg* /usr/bin/perl* /usr/bin/bash /usr/bin/rbash /usr/bin/dash /usr/bin/sh /bin/sh
COPY --from=build /opt/stillgate /opt/stillgate
COPY --from=build /build/policies /etc/stillgate/policies
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
