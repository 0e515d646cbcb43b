"""The bibliography: each paper once, under the key that pages link to."""

from typing import NamedTuple


class Paper(NamedTuple):
    """A source: its key, authors, year, title, venue and address."""

    key: str
    authors: str
    year: int
    title: str
    venue: str
    url: str


_ALL = (
    Paper(
        "aitken2017",
        "A. Aitken, C. Ledig, L. Theis, J. Caballero, Z. Wang, W. Shi",
        2017,
        "Checkerboard Artifact Free Sub-Pixel Convolution",
        "arXiv preprint",
        "https://arxiv.org/abs/1707.02937",
    ),
    Paper(
        "ba2016",
        "J. L. Ba, J. R. Kiros, G. E. Hinton",
        2016,
        "Layer Normalization",
        "arXiv preprint",
        "https://arxiv.org/abs/1607.06450",
    ),
    Paper(
        "de2020",
        "S. De, S. L. Smith",
        2020,
        "Batch Normalization Biases Residual Blocks Towards the Identity Function in Deep Networks",
        "NeurIPS",
        "https://arxiv.org/abs/2002.10444",
    ),
    Paper(
        "gers2000",
        "F. A. Gers, J. Schmidhuber, F. Cummins",
        2000,
        "Learning to Forget: Continual Prediction with LSTM",
        "Neural Computation 12(10)",
        "https://doi.org/10.1162/089976600300015015",
    ),
    Paper(
        "glorot2010",
        "X. Glorot, Y. Bengio",
        2010,
        "Understanding the Difficulty of Training Deep Feedforward Neural Networks",
        "AISTATS",
        "https://proceedings.mlr.press/v9/glorot10a.html",
    ),
    Paper(
        "goyal2017",
        "P. Goyal, P. Dollár, R. Girshick, P. Noordhuis, L. Wesolowski, A. Kyrola, A. Tulloch, "
        "Y. Jia, K. He",
        2017,
        "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
        "arXiv preprint",
        "https://arxiv.org/abs/1706.02677",
    ),
    Paper(
        "hanin2018",
        "B. Hanin, D. Rolnick",
        2018,
        "How to Start Training: The Effect of Initialization and Architecture",
        "NeurIPS",
        "https://arxiv.org/abs/1803.01719",
    ),
    Paper(
        "he2015",
        "K. He, X. Zhang, S. Ren, J. Sun",
        2015,
        "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet "
        "Classification",
        "ICCV",
        "https://arxiv.org/abs/1502.01852",
    ),
    Paper(
        "hendrycks2016",
        "D. Hendrycks, K. Gimpel",
        2016,
        "Gaussian Error Linear Units (GELUs)",
        "arXiv preprint",
        "https://arxiv.org/abs/1606.08415",
    ),
    Paper(
        "hochreiter1997",
        "S. Hochreiter, J. Schmidhuber",
        1997,
        "Long Short-Term Memory",
        "Neural Computation 9(8)",
        "https://doi.org/10.1162/neco.1997.9.8.1735",
    ),
    Paper(
        "jozefowicz2015",
        "R. Jozefowicz, W. Zaremba, I. Sutskever",
        2015,
        "An Empirical Exploration of Recurrent Network Architectures",
        "ICML",
        "https://proceedings.mlr.press/v37/jozefowicz15.html",
    ),
    Paper(
        "klambauer2017",
        "G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter",
        2017,
        "Self-Normalizing Neural Networks",
        "NeurIPS",
        "https://arxiv.org/abs/1706.02515",
    ),
    Paper(
        "krizhevsky2012",
        "A. Krizhevsky, I. Sutskever, G. E. Hinton",
        2012,
        "ImageNet Classification with Deep Convolutional Neural Networks",
        "NeurIPS",
        "https://doi.org/10.1145/3065386",
    ),
    Paper(
        "le2015",
        "Q. V. Le, N. Jaitly, G. E. Hinton",
        2015,
        "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
        "arXiv preprint",
        "https://arxiv.org/abs/1504.00941",
    ),
    Paper(
        "lecun1998",
        "Y. LeCun, L. Bottou, G. B. Orr, K.-R. Müller",
        1998,
        "Efficient BackProp",
        "Neural Networks: Tricks of the Trade",
        "https://doi.org/10.1007/3-540-49430-8_2",
    ),
    Paper(
        "lin2017",
        "T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár",
        2017,
        "Focal Loss for Dense Object Detection",
        "ICCV",
        "https://arxiv.org/abs/1708.02002",
    ),
    Paper(
        "martens2010",
        "J. Martens",
        2010,
        "Deep Learning via Hessian-Free Optimization",
        "ICML",
        "https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf",
    ),
    Paper(
        "massart1990",
        "P. Massart",
        1990,
        "The Tight Constant in the Dvoretzky-Kiefer-Wolfowitz Inequality",
        "The Annals of Probability 18(3)",
        "https://doi.org/10.1214/aop/1176990746",
    ),
    Paper(
        "mezzadri2007",
        "F. Mezzadri",
        2007,
        "How to Generate Random Matrices from the Classical Compact Groups",
        "Notices of the AMS 54(5)",
        "https://arxiv.org/abs/math-ph/0609050",
    ),
    Paper(
        "mishkin2016",
        "D. Mishkin, J. Matas",
        2016,
        "All You Need Is a Good Init",
        "ICLR",
        "https://arxiv.org/abs/1511.06422",
    ),
    Paper(
        "pascanu2013",
        "R. Pascanu, T. Mikolov, Y. Bengio",
        2013,
        "On the Difficulty of Training Recurrent Neural Networks",
        "ICML",
        "https://arxiv.org/abs/1211.5063",
    ),
    Paper(
        "poole2016",
        "B. Poole, S. Lahiri, M. Raghu, J. Sohl-Dickstein, S. Ganguli",
        2016,
        "Exponential Expressivity in Deep Neural Networks through Transient Chaos",
        "NeurIPS",
        "https://arxiv.org/abs/1606.05340",
    ),
    Paper(
        "radford2018",
        "A. Radford, K. Narasimhan, T. Salimans, I. Sutskever",
        2018,
        "Improving Language Understanding by Generative Pre-Training",
        "OpenAI report",
        "https://cdn.openai.com/research-covers/language-unsupervised/"
        "language_understanding_paper.pdf",
    ),
    Paper(
        "radford2019",
        "A. Radford, J. Wu, R. Child, D. Luan, D. Amodei, I. Sutskever",
        2019,
        "Language Models Are Unsupervised Multitask Learners",
        "OpenAI report",
        "https://cdn.openai.com/better-language-models/"
        "language_models_are_unsupervised_multitask_learners.pdf",
    ),
    Paper(
        "rumelhart1986",
        "D. E. Rumelhart, G. E. Hinton, R. J. Williams",
        1986,
        "Learning Representations by Back-Propagating Errors",
        "Nature 323",
        "https://doi.org/10.1038/323533a0",
    ),
    Paper(
        "saxe2014",
        "A. M. Saxe, J. L. McClelland, S. Ganguli",
        2014,
        "Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural Networks",
        "ICLR",
        "https://arxiv.org/abs/1312.6120",
    ),
    Paper(
        "schoenholz2017",
        "S. S. Schoenholz, J. Gilmer, S. Ganguli, J. Sohl-Dickstein",
        2017,
        "Deep Information Propagation",
        "ICLR",
        "https://arxiv.org/abs/1611.01232",
    ),
    Paper(
        "sitzmann2020",
        "V. Sitzmann, J. N. P. Martel, A. W. Bergman, D. B. Lindell, G. Wetzstein",
        2020,
        "Implicit Neural Representations with Periodic Activation Functions",
        "NeurIPS",
        "https://arxiv.org/abs/2006.09661",
    ),
    Paper(
        "stewart1980",
        "G. W. Stewart",
        1980,
        "The Efficient Generation of Random Orthogonal Matrices with an Application to Condition "
        "Estimators",
        "SIAM Journal on Numerical Analysis 17(3)",
        "https://doi.org/10.1137/0717034",
    ),
    Paper(
        "tallec2018",
        "C. Tallec, Y. Ollivier",
        2018,
        "Can Recurrent Neural Networks Warp Time?",
        "ICLR",
        "https://arxiv.org/abs/1804.11188",
    ),
    Paper(
        "touvron2021",
        "H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles, H. Jégou",
        2021,
        "Training Data-Efficient Image Transformers & Distillation Through Attention",
        "ICML",
        "https://arxiv.org/abs/2012.12877",
    ),
    Paper(
        "wang2022",
        "H. Wang, S. Ma, L. Dong, S. Huang, D. Zhang, F. Wei",
        2022,
        "DeepNet: Scaling Transformers to 1,000 Layers",
        "arXiv preprint",
        "https://arxiv.org/abs/2203.00555",
    ),
    Paper(
        "xiao2018",
        "L. Xiao, Y. Bahri, J. Sohl-Dickstein, S. S. Schoenholz, J. Pennington",
        2018,
        "Dynamical Isometry and a Mean Field Theory of CNNs: How to Train 10,000-Layer Vanilla "
        "Convolutional Neural Networks",
        "ICML",
        "https://arxiv.org/abs/1806.05393",
    ),
    Paper(
        "xiong2020",
        "R. Xiong, Y. Yang, D. He, K. Zheng, S. Zheng, C. Xing, H. Zhang, Y. Lan, L. Wang, T. Liu",
        2020,
        "On Layer Normalization in the Transformer Architecture",
        "ICML",
        "https://proceedings.mlr.press/v119/xiong20b.html",
    ),
    Paper(
        "yang2021",
        "G. Yang, E. J. Hu, I. Babuschkin, S. Sidor, X. Liu, D. Farhi, N. Ryder, J. Pachocki, "
        "W. Chen, J. Gao",
        2021,
        "Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer",
        "NeurIPS",
        "https://arxiv.org/abs/2203.03466",
    ),
    Paper(
        "zagoruyko2017",
        "S. Zagoruyko, N. Komodakis",
        2017,
        "DiracNets: Training Very Deep Neural Networks Without Skip-Connections",
        "arXiv preprint",
        "https://arxiv.org/abs/1706.00388",
    ),
    Paper(
        "zhang2019",
        "H. Zhang, Y. N. Dauphin, T. Ma",
        2019,
        "Fixup Initialization: Residual Learning Without Normalization",
        "ICLR",
        "https://arxiv.org/abs/1901.09321",
    ),
)

PAPERS = {paper.key: paper for paper in _ALL}
