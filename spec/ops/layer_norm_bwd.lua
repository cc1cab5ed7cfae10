-- layer_norm_bwd runs as the gradient of layer_norm; its samples are there.
return { samples = {}, backward_of = "layer_norm" }
