# syntax=docker/dockerfile:1
#
#   docker build --target cpu  -t ourvidz-worker:cpu .
#   docker build --target cuda -t ourvidz-worker:cuda .
#   export WAN_WORKER_API_KEY=$(openssl rand -hex 32)   # what callers send as bearer token
#   docker build --target cuda --build-arg BAKED_MODELS="sdxl=stabilityai/stable-diffusion-xl-base-1.0" -t ourvidz-worker:sdxl .
#   docker run --stop-timeout 100 -e WAN_WORKER_API_KEY -p 7860:7860 -v ourvidz:/data ourvidz-worker:cpu
#
# Node itself is one of the project's dependencies, so the final image has no other.

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The base image has Debian's ffmpeg, so the npm packages' own, for machines without one, stays out.
RUN npm ci --omit=dev --no-audit --no-fund && rm -rf node_modules/@ffmpeg-installer node_modules/@ffprobe-installer

# The CUDA execution provider is not in the npm package; its own install step fetches it. `cuda12` is the step's name for it, whichever
# CUDA it was built for.
FROM dependencies AS dependencies-cuda
RUN ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js \
 && ls node_modules/onnxruntime-node/bin/napi-v*/linux/x64/libonnxruntime_providers_cuda.so

FROM debian:bookworm-slim AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates ffmpeg tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home ourvidz \
 && install -d -o ourvidz -g ourvidz /data /models
WORKDIR /app
ENV PATH=/app/node_modules/.bin:$PATH \
    NODE_ENV=production \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=7860
COPY . .
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]
CMD ["node", "cli/ourvidz.js", "start"]

FROM base AS cpu
COPY --from=dependencies /app/node_modules ./node_modules
RUN deploy/fill-compile-cache.sh 10001
ARG BAKED_MODELS=""
RUN --mount=type=secret,id=hf_token,env=HF_TOKEN deploy/bake-models.sh
USER 10001

# NVIDIA's libraries are its own Python packages: those that the provider needs, of the CUDA that it was built for.
FROM python:3.13-slim-bookworm AS cuda-libraries
COPY deploy/cuda-libraries.sh deploy/cuda-requirements.txt /deploy/
RUN /deploy/cuda-libraries.sh /libraries

FROM base AS cuda
COPY --from=cuda-libraries /libraries/ /usr/local/cuda/lib64/
COPY --from=dependencies-cuda /app/node_modules ./node_modules
ENV LD_LIBRARY_PATH=/usr/local/cuda/lib64 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
RUN deploy/check-cuda.sh
RUN deploy/fill-compile-cache.sh 10001
ARG BAKED_MODELS=""
RUN --mount=type=secret,id=hf_token,env=HF_TOKEN deploy/bake-models.sh
USER 10001
