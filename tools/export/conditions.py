"""What is exported beside an SDXL folder, to draw by more than a prompt."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Conditions:
    """Folders and files, as the command line names them."""

    # By the kind of picture that they are shown: `canny`, `depth`, and others.
    controlnets: dict[str, Path] = field(default_factory=dict)
    # Weights in the form of the IP-Adapter project: .safetensors or .bin.
    ip_adapter: Path | None = None
    image_encoder: Path | None = None
