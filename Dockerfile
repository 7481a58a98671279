# The image of every Fanfare service: one static program and nothing else, run by a
# user without rights. "docker-compose up" and "make docker-image" build it; both the
# classic builder and BuildKit can.

FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
# The standard library is built once, and not with each change below.
RUN go mod download && CGO_ENABLED=0 go build -trimpath std
COPY . .
ARG VERSION=unknown
ARG REVISION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION -X main.revision=$REVISION" \
        -o /image/usr/bin/fanfare ./cmd/fanfare \
    && mkdir -p /image/etc/ssl/certs /own/data /own/secrets/fanfare /own/secrets/redis /own/secrets/grafana \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

FROM scratch
COPY --from=build /image /
# A new volume takes over the owner of the directory that it is mounted on.
COPY --from=build --chown=65532:65532 /own /
USER 65532:65532
EXPOSE 3000 8008 3001 9310 9999 8060
ENTRYPOINT ["/usr/bin/fanfare"]
CMD ["--help"]
