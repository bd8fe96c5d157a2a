"""Train a ResNet-18 from scratch on a folder of pictures, to have real weights to build from.

    .venv-build/bin/python benchmarks/train_resnet18.py DATA OUT.pth [--epochs N]

DATA holds ``train/`` and ``validation/``, each with one folder a class. Writes the state dict to
OUT.pth and the class names, in order, beside it to OUT.txt. A few minutes on two cores.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

SEED = 20
BATCH = 32
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Crops smaller than at inference, of pictures of the same scale: a third of the work, and what is
# pooled in the end does not depend on the size.
TRAIN = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.RandomCrop(128),
        transforms.RandomHorizontalFlip(),
        transforms.RandomVerticalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)
VALIDATION = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
)


def main() -> None:
    """Read the arguments, train, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    pictures = ImageFolder(str(arguments.data / "train"), TRAIN)
    held_back = ImageFolder(str(arguments.data / "validation"), VALIDATION)
    model = models.get_model("resnet18", weights=None, num_classes=len(pictures.classes))
    model = model.to(memory_format=torch.channels_last)
    train(model, DataLoader(pictures, BATCH, shuffle=True, drop_last=True), arguments.epochs)
    print(f"validation top-1 {accuracy(model, DataLoader(held_back, BATCH)):.2f} %")
    torch.save(model.state_dict(), arguments.out)
    arguments.out.with_suffix(".txt").write_text("\n".join(pictures.classes) + "\n")


def train(model: nn.Module, batches: DataLoader, epochs: int) -> None:
    """One cycle of SGD with label smoothing."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    steps = epochs * len(batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    model.train()
    started = time.monotonic()
    for epoch in range(epochs):
        total = 0.0
        for pixels, classes in batches:
            loss = loss_of(model(pixels.to(memory_format=torch.channels_last)), classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        taken = time.monotonic() - started
        print(f"epoch {epoch + 1}: loss {total / len(batches):.3f}, {taken:.0f} s", flush=True)


def accuracy(model: nn.Module, batches: DataLoader) -> float:
    """Top-1 in percent."""
    model.eval()
    right = seen = 0
    with torch.inference_mode():
        for pixels, classes in batches:
            right += int((model(pixels).argmax(1) == classes).sum())
            seen += len(classes)
    return 100 * right / seen


if __name__ == "__main__":
    main()
