# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /keda
COPY requirements/ requirements/
RUN /keda/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY keda_py/ keda_py/
COPY scalers/ scalers/
RUN pip install --no-cache-dir build && python -m build --wheel --outdir /wheel . \
    && /keda/bin/pip install --no-cache-dir --no-deps --no-index /wheel/*.whl \
    && /keda/bin/python -m compileall -q /keda/lib && /keda/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim
COPY --from=build /keda /keda
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 6443 8080 8081 9443
ENTRYPOINT ["/keda/bin/keda-py"]
CMD ["run"]
