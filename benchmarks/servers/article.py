"""The article's stack: Flask, gunicorn with gevent workers, one process a core, ``jit.trace``.

    gunicorn --worker-class gevent --workers CORES --bind 127.0.0.1:PORT article:app

torch uses one thread a process, since each core has a process of its own. The picture comes as the
request's body. ``BENCHMARK_WEIGHTS`` is a state dict of resnet18, ``BENCHMARK_BUNDLE`` only lends
its class names.
"""

import io
import os

import torch
from flask import Flask, Response, jsonify, request
from labels import labels
from PIL import Image
from torchvision import models, transforms

TOP_K = 3

torch.set_num_threads(1)

app = Flask(__name__)

names = labels()

preprocess = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def load() -> torch.jit.ScriptModule:
    """The traced network, warmed up: the first runs of a trace optimise it."""
    model = models.resnet18(weights=None, num_classes=len(names))
    model.load_state_dict(torch.load(os.environ["BENCHMARK_WEIGHTS"], weights_only=True))
    model.eval()
    example = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        traced = torch.jit.trace(model, example)
        for _ in range(3):
            traced(example)
    return traced


model = load()


@app.post("/predict")
def predict() -> Response:
    """The best three classes of the picture in the body."""
    image = Image.open(io.BytesIO(request.get_data())).convert("RGB")
    with torch.inference_mode():
        logits = model(preprocess(image).unsqueeze(0))[0]
        confidences, indices = torch.topk(torch.softmax(logits, 0), TOP_K)
    return jsonify(
        predictions=[
            {"label": names[index], "confidence": round(confidence, 6), "index": index}
            for confidence, index in zip(confidences.tolist(), indices.tolist(), strict=True)
        ]
    )
