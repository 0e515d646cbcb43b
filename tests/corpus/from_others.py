"""Models of timm, diffusers and peft, and hand-written ones, and a batch for each."""

import functools
import os
import warnings
from itertools import pairwise

os.environ["HF_HUB_OFFLINE"] = "1"

import diffusers
import peft
import torch
from corpus import from_transformers
from corpus.from_transformers import any_output, ids, next_token, pixels, tokens
from corpus.timm_alone import timm
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional as F

diffusers.logging.set_verbosity_error()


def _source():
    return torch.Generator().manual_seed(1)


def drawn(*shape):
    return torch.randn(shape, generator=_source())


def first(output, batch):
    """The mean of the output times random numbers, so that each entry has a gradient."""
    while not torch.is_tensor(output):
        output = next(iter(output.values() if isinstance(output, dict) else output))
    return (output * torch.randn(output.shape, generator=_source())).mean()


def _timm(name, **options):
    return functools.partial(timm.create_model, name, num_classes=10, **options)


def image(size=64):
    return {"x": drawn(4, 3, size, size)}


PATCHES = {"img_size": 64}
TIMM = {
    "resnet18": {},
    "skresnet18": {},
    "densenet121": {},
    "res2net50_26w_4s": {},
    "regnetx_002": {},
    "efficientnet_b0": {},
    "mobilenetv3_small_100": {},
    "repvgg_a0": {},
    "eca_nfnet_l0": {},
    "convnext_atto": {},
    "edgenext_xx_small": {},
    "mobilevit_xxs": {},
    "vit_tiny_patch16_224": PATCHES,
    "vit_small_patch16_rope_224": PATCHES | {"depth": 4},
    "cait_xxs24_224": PATCHES,
    "deit3_small_patch16_224": PATCHES | {"depth": 4},
    "mixer_s32_224": PATCHES,
    "resmlp_12_224": PATCHES,
    "xcit_nano_12_p16_224": {},
    "beit_base_patch16_224": PATCHES | {"depth": 2},
}


# Diffusion models, with what they take.
def noisy(channels=4, size=16, **more):
    return {"sample": drawn(2, channels, size, size), "timestep": torch.tensor([10, 500])} | more


def classes():
    labels = {"class_labels": torch.tensor([1, 2]), "timestep": torch.tensor([10, 500])}
    return labels | {"hidden_states": drawn(2, 4, 16, 16)}


BLOCKS = {"block_out_channels": (64, 128), "norm_num_groups": 32}


def _unet():
    return diffusers.UNet2DModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        **BLOCKS,
    )


def _conditional():
    return diffusers.UNet2DConditionModel(
        sample_size=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=256,
        attention_head_dim=8,
        **BLOCKS,
    )


def _dit():
    return diffusers.DiTTransformer2DModel(
        num_attention_heads=4, attention_head_dim=64, num_layers=2, sample_size=16, in_channels=4
    )


def _autoencoder():
    return diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **BLOCKS,
    )


def _lora(name, config):
    def build():
        with warnings.catch_warnings():
            # peft reads a name of transformers that is about to go.
            warnings.simplefilter("ignore", FutureWarning)
            return peft.get_peft_model(from_transformers.build(name), config)

    return build


class TiedByFunction(nn.Module):
    """A decoder whose head is its table, by a product in the forward."""

    def __init__(self, words=1000, width=256, depth=4):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(words, width), nn.Embedding(64, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, input_ids):
        x = self.wte(input_ids) + self.wpe.weight[: input_ids.shape[1]]
        mask = nn.Transformer.generate_square_subsequent_mask(input_ids.shape[1])
        for block in self.blocks:
            x = block(x, src_mask=mask, is_causal=True)
        return Logits(F.linear(self.norm(x), self.wte.weight))


class Logits(dict):
    """An output with logits under a key and as an attribute."""

    def __init__(self, logits):
        super().__init__(logits=logits)
        self.logits = logits


class Recurrent(nn.Module):
    def __init__(self, kind, words=1000, width=256):
        super().__init__()
        self.table = nn.Embedding(words, width, padding_idx=0)
        self.cells = kind(width, width, num_layers=2, batch_first=True)
        self.out = nn.Linear(width, words)

    def forward(self, input_ids):
        return Logits(self.out(self.cells(self.table(input_ids))[0]))


class Policy(nn.Module):
    """An actor and a critic, as published: orthogonal weights, and a head of 0.01."""

    def __init__(self, inputs=24, width=256, actions=6):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()
        )
        self.actor, self.critic = nn.Linear(width, actions), nn.Linear(width, 1)
        for layer, gain in [
            *((self.body[i], 2**0.5) for i in (0, 2)),
            (self.actor, 0.01),
            (self.critic, 1.0),
        ]:
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        hidden = self.body(x)
        return Categorical(logits=self.actor(hidden)), self.critic(hidden).squeeze(-1)


def policy_loss(output, batch):
    chosen, value = output
    actions = torch.arange(len(value)) % 6
    return (value - 1).square().mean() - (chosen.log_prob(actions) * drawn(len(value))).mean()


def _generator():
    def up(into, out, *rest):
        return nn.ConvTranspose2d(into, out, 4, 2, 1, bias=False), nn.BatchNorm2d(out), *rest

    return nn.Sequential(
        *(nn.ConvTranspose2d(100, 256, 4, bias=False), nn.BatchNorm2d(256), nn.ReLU()),
        *up(256, 128, nn.ReLU()),
        *up(128, 64, nn.ReLU()),
        *(nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh()),
    )


def _vgg():
    sizes = [3, 64, 128, 256, 256]
    layers = []
    for into, out in pairwise(sizes):
        layers += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(256 * 4, 512), nn.ReLU(), nn.Dropout(), nn.Linear(512, 10)
    )


LORA = {"r": 8, "lora_dropout": 0.0}
ATTENTION = LORA | {"target_modules": ["q_proj", "v_proj"]}
# By name: what builds a model, what makes a batch, and the loss.
MODELS = {
    **{name: (_timm(name, **options), image, first) for name, options in TIMM.items()},
    "UNet": (_unet, noisy, first),
    "conditional UNet": (
        _conditional,
        lambda: noisy(encoder_hidden_states=drawn(2, 7, 256)),
        first,
    ),
    "DiT": (_dit, classes, first),
    "AutoencoderKL": (_autoencoder, lambda: {"sample": drawn(2, 3, 32, 32)}, first),
    "LoRA": (_lora("Llama", peft.LoraConfig(**ATTENTION)), tokens, next_token),
    "DoRA": (_lora("Llama", peft.LoraConfig(**ATTENTION, use_dora=True)), tokens, next_token),
    "LoRA of GPT-2": (
        _lora("GPT2", peft.LoraConfig(**LORA, target_modules=["c_attn"], fan_in_fan_out=True)),
        tokens,
        next_token,
    ),
    "IA3": (
        _lora("Llama", peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[])),
        tokens,
        next_token,
    ),
    "LoRA of ViT": (
        _lora("ViT", peft.LoraConfig(**LORA, target_modules=["q_proj", "query"])),
        pixels,
        any_output,
    ),
    "tied by function": (TiedByFunction, ids, next_token),
    "LSTM": (functools.partial(Recurrent, nn.LSTM), ids, next_token),
    "GRU": (functools.partial(Recurrent, nn.GRU), ids, next_token),
    "policy": (Policy, lambda: {"x": drawn(64, 24)}, policy_loss),
    "generator": (_generator, lambda: {"input": drawn(8, 100, 1, 1)}, first),
    "VGG": (_vgg, lambda: {"input": drawn(8, 3, 32, 32)}, first),
}


def case(name):
    """Return what builds a model, its batch, and its loss."""
    build, batch, loss = MODELS[name]
    return build, batch(), loss
