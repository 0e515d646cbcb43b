"""What a layer needs beyond a tensor: its true fans, its gates, its bias."""

from initguide.layers.bias import class_prior_bias as class_prior_bias
from initguide.layers.bias import class_prior_bias_ as class_prior_bias_
from initguide.layers.convolution import convolution_ as convolution_
from initguide.layers.gates import per_gate as per_gate
from initguide.layers.gates import per_gate_ as per_gate_
from initguide.layers.recurrent import forget_bias as forget_bias
from initguide.layers.recurrent import forget_bias_ as forget_bias_
from initguide.layers.recurrent import recurrent_ as recurrent_
