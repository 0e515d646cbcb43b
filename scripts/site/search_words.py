"""What readers type to find a page, where its own title and text do not say it.

The theme's search ranks a page by its tags before its title, and its title before its text. So each
page has as tags the names by which people know what it treats: methods, networks and symptoms. A
tag that stands twice counts more.
"""

from typing import Any

from mkdocs.structure.pages import Page

WORDS = {
    "index.md": "home start initguide",
    "how-to/install.md": "install installation pip requirements version cpu",
    "guide/what-are-initializations.md": "basics introduction why 2.4.1",
    "guide/methods/index.md": "methods overview comparison 2.4.2",
    "guide/methods/constant.md": "zero init zeros ones constant symmetry breaking",
    "guide/methods/random.md": "random init normal uniform gaussian std 0.02",
    "guide/methods/xavier.md": "xavier glorot init tanh",
    "guide/methods/he.md": "he kaiming init relu leaky",
    "guide/methods/orthogonal.md": "orthogonal init haar isometry saxe",
    "guide/methods/lsuv.md": "lsuv lsuv data-dependent init mishkin",
    "guide/layer-types.md": "conv convolution transposed convtranspose deconvolution lstm gru rnn "
    "forget gate bias layers 2.4.3",
    "guide/visualizing.md": "histogram visualize activations signals monitor figure lecture slides "
    "2.4.4",
    "guide/layer-normalization.md": "layernorm layer norm normalization 2.4.5",
    "guide/best-practices.md": "best practices tips 2.4.6",
    "guide/summary.md": "summary cheat sheet card table",
    "guide/exercises.md": "exercises practice problems solutions",
    "guide/myths.md": "myths mistakes misconceptions",
    "guide/framework-defaults.md": "default pytorch keras tensorflow haiku nn.Linear",
    "advanced/gains.md": "gain gains table calculate_gain gelu silu swish mish elu selu sigmoid",
    "advanced/edge-of-chaos.md": "edge of chaos criticality mean field chi",
    "advanced/residual-scaling.md": "residual scaling deepnorm deepnet depth branches stream",
    "advanced/without-normalization.md": "normalization-free rezero skipinit nfnet weight "
    "standardization",
    "advanced/width-and-depth.md": "mup width depth transfer completep spectral condition",
    "advanced/big-models.md": "big models huggingface timm code bases t5",
    "advanced/state-space.md": "s4 s4d hippo state-space state space step size",
    "advanced/adapters.md": "adapters rslora olora rank",
    "advanced/implicit-networks.md": "implicit inr finer fourier features coordinates",
    "advanced/half-precision.md": "half precision bfloat16 float16 bf16 fp16",
    "advanced/truncated-normal.md": "truncated normal trunc_normal",
    "advanced/variance-scaling.md": "variance scaling",
    "advanced/delta-orthogonal.md": "delta orthogonal convolution",
    "advanced/identity.md": "identity dirac eye irnn",
    "advanced/sparse.md": "sparse init martens",
    "advanced/icnr.md": "icnr checkerboard pixel shuffle pixelshuffle super-resolution upsampling",
    "playground.md": "playground interactive demo live",
    "how-to/debug.md": "debug loss nan inf diverges does not train stuck dead relu vanishing "
    "exploding gradient first loss too high symptoms decrease learn transformer",
    "how-to/training.md": "training stalls plateau update to weight ratio monitor optimizer",
    "how-to/coordinate-check.md": "coordinate check coord_check",
    "how-to/ci.md": "ci baseline regression pytest audit save compare",
    "how-to/choose.md": "choose which initialization resnet zero gamma transformer transformers "
    "attention gpt-2 gpt gpt2 bert embedding weight tying gan dcgan",
    "how-to/plans.md": "rules rule plan own rule keep deliberate",
    "how-to/modern-networks.md": "llama moe mixture of experts vit vision unet u-net diffusion dit "
    "adaln ppo rl reinforcement learning policy nerf mamba ssm swiglu port flax",
    "how-to/pretrained.md": "lora adapter peft fine-tuning finetuning new head tokens pretrained",
    "how-to/chooser.md": "chooser keras flax jax initializer kernel_init snippets code",
    "how-to/large-models.md": "fsdp meta device sharded distributed large",
    "deploy.md": "deploy host site github pages",
    "examples/index.md": "claims papers reproduced evidence",
    "examples/sitzmann-2020.py": "siren sine sin",
    "examples/zhang-2019.py": "fixup without normalization",
    "examples/yang-2021.py": "mup tensor programs learning rate transfer",
    "examples/xiong-2020.py": "pre-ln post-ln warm-up warmup",
    "examples/huang-2020.py": "tfixup",
    "examples/meng-2024.py": "pissa",
    "examples/yang-2023.py": "muon spectral norm",
    "examples/lin-2017.py": "focal class imbalance imbalanced prior bias retinanet",
    "examples/jozefowicz-2015.py": "memory",
    "api/index.md": "api reference functions",
    "api/rules.md": "initialize_ plan rule recipe recipes whole model seed reproducible",
    "api/measure.md": "measure report findings",
    "api/measure-training.md": "coord_check",
    "api/lsuv.md": "lsuv_ function reference scale layers steps",
    "api/plotting.md": "plot plots plotting",
    "api/audit.md": "audit check weights",
    "api/check-initializer.md": "check_initializer own initializer test",
    "api/fans-and-gains.md": "fan_in fan_out calculate_gain fans",
    "api/propagation.md": "propagate critical",
    "benchmarks.md": "benchmarks speed performance",
    "glossary.md": "glossary terms words",
    "notation.md": "symbols",
    "references.md": "references bibliography papers",
}


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Give the page its tags."""
    if page.file.src_uri in WORDS:
        page.meta["tags"] = WORDS[page.file.src_uri].split()
    return markdown
