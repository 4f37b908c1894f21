# speakerkd on a processor: docker build -t speakerkd . && docker run --rm -v "$PWD:/data" -w /data speakerkd doctor
# For NVIDIA GPUs: --build-arg TORCH_INDEX=https://pypi.org/simple, and docker run --gpus all.
FROM python:3.12-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=onnx
COPY . /src
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0 \
    && pip install --no-cache-dir "/src[$EXTRAS]" \
    && rm -rf /src
RUN useradd --create-home user
USER user
ENTRYPOINT ["speakerkd"]
CMD ["--help"]
