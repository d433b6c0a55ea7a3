# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# ring compiles a little C and assembly; the slim image has the compiler.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package ota-gateway --package ota-sim \
    && install -D target/release/ota-gateway target/release/ota-sim --target-directory /out

FROM debian:bookworm-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin ota \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/ota-gateway
USER 10001:10001

FROM base AS sim
COPY --from=build /out/ota-sim /usr/local/bin/ota-sim
ENTRYPOINT ["ota-sim"]

FROM base AS gateway
COPY --from=build /out/ota-gateway /usr/local/bin/ota-gateway
# The database of the mirror, unless the configuration names another one.
WORKDIR /var/lib/ota-gateway
VOLUME /var/lib/ota-gateway
EXPOSE 8080
# bash opens the socket itself, so that the image needs no HTTP client.
HEALTHCHECK --interval=5s --timeout=3s --start-period=2s --retries=5 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["ota-gateway"]
CMD ["serve"]
