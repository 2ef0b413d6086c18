"""The model card of an exported model: what it learnt from and by whose leave, how, and how good it was."""

from __future__ import annotations

import yaml

from training.config import Config
from training.run_folder import LearntFrom, State


def model_card(config: Config, data: LearntFrom, state: State) -> str:
    """Markdown."""
    measured = "\n".join(f"| {name} | {value:.4g} |" for name, value in state.validation.items()) or "| none | |"
    learnt = yaml.safe_dump(config.what_is_learnt, sort_keys=False)
    window = config.window
    seen = "sees nothing that comes after a frame" if window.causal else "sees the whole window"
    return f"""# A motion model for Ditto

From speech to the motion of a head: the latent motion diffusion (LMDM) of Ditto (arXiv:2411.19509), trained with this project's
`training/`. The other networks in this folder are the published ones, under their own licences.

## Consent and licence of the data

As stated by whoever made the data set:

- Consent of the people in it: {data.statement.consent}
- Licence: {data.statement.licence}

## Data

{data.seconds / 60:.1f} minutes of speech in {data.clips} clips of {data.videos} videos (manifest {data.digest}).
Conditions: HuBERT features, one emotion label for all ({config.emotion}), opening and direction of the eyes, keypoints of the face.

## Model

Windows of {window.frames} frames at 25 frames a second, {window.context or "no fixed number"} of them context; the model {seen}.
State of step {state.step} of {config.steps}, averaged weights.

```yaml
{learnt}```

## Measured

{"On videos that were held out" if config.validation else "On what was learnt: no video was held out"}. Losses are in units of the
data's variance.

| | |
| --- | --- |
{measured}

## Use

`inference.py --data_root FOLDER/ditto_pytorch --cfg_pkl FOLDER/ditto_cfg/v0.4_hubert_cfg_pytorch.pkl`, FOLDER being this one.
Animate only people who agreed to it; videos are marked as synthetic.
"""
