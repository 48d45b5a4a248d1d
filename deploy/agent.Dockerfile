# An image in which agents run: an example, to be made yours.
#
#   docker build -f deploy/agent.Dockerfile -t registry.example.com/slipway-agent:1 deploy
#
# What Slipway needs of it: glibc 2.28 or newer with libstdc++, /bin/sh, and the programs of the agents in PATH. What agents
# need is up to what they build: bash and git at least, then your compilers and tools. Node is brought by Slipway for its
# own programs only. The user is the pod's, 1000, and the file system can only be read, but for the checkout, home and /tmp.

ARG BASE=docker.io/library/node:24-bookworm-slim
FROM ${BASE}
RUN apt-get update -qq \
 && apt-get install -qq -y --no-install-recommends bash ca-certificates curl git procps ripgrep >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log
# With a version each: an agent that changes by itself is another agent.
ARG AGENTS="@anthropic-ai/claude-code@2.1.329"
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    if [ -s /run/secrets/ca.pem ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/ca.pem; fi \
 && npm install --global --no-audit --no-fund ${AGENTS} \
 && rm -rf /root/.npm
USER 1000:1000
WORKDIR /tmp
CMD ["/bin/bash"]
